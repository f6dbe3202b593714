using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Tallystick.Example;
using Tallystick.V1;

// The commands; README.md shows them in their order.
const string Usage =
    "keygen KEY | apply DRAFT KEY KEY_ID OUT | sell PROFILE RECEIPTS | verify PROFILE RECEIPTS | vectors FOLDER";

switch (args)
{
    case ["keygen", var keyFile]:
        using (var made = Keys.Generate(keyFile))
        {
            Say(Signing.Hex(Keys.Raw(made)));
        }
        return 0;
    case ["apply", var draft, var keyFile, var keyId, var file]:
        using (var key = Keys.Load(keyFile))
        {
            File.WriteAllText(file, Application.Signed(File.ReadAllText(draft), key, keyId));
        }
        return 0;
    case ["sell", var profile, var receipts]:
        Sell(profile, receipts);
        return 0;
    case ["verify", var profile, var receipts]:
        Verify(profile, receipts);
        return 0;
    case ["vectors", var folder]:
        return Vectors.JudgeAll(folder) ? 0 : 1;
    default:
        Console.Error.WriteLine(Usage);
        return 2;
}

// Lines of sales in, one line of JSON each out; every receipt is kept, as it came, before the line is written.
static void Sell(string profile, string receipts)
{
    using var till = new Till(Load(profile));
    using var kept = new StreamWriter(receipts, append: true) { AutoFlush = true };
    while (Console.ReadLine() is string line)
    {
        Say(SellOne(till, line.Split(' '), kept).ToJsonString());
    }
}

static JsonObject SellOne(Till till, string[] words, TextWriter kept)
{
    string key = words[1], name = words[2];
    try
    {
        Booked booked = words[0] switch
        {
            "enrol" => till.Enrol(key, name),
            "issue" => till.Issue(key, name, long.Parse(words[3])),
            "redeem" => till.Redeem(key, name, long.Parse(words[3])),
            "checkout" => till.Checkout(key, name, long.Parse(words[3]), words.Length > 4 ? long.Parse(words[4]) : 0),
            "refund" => till.Refund(key, name, long.Parse(words[3])),
            _ => throw new ArgumentException($"no such call: {words[0]}"),
        };
        Keep(kept, booked.Signed);
        var said = new JsonObject
        {
            ["key"] = key,
            ["outcome"] = "booked",
            // By how much the balance changed: a checkout may redeem and issue, under one receipt.
            ["points"] = booked.Receipt.Points + booked.Receipt.Legs.Sum(leg => leg.Points),
            ["balance_points"] = booked.Receipt.BalancePoints,
            ["receipt_key"] = booked.Signed.KeyId,
            ["replayed"] = booked.Replayed,
            ["attempts"] = booked.Attempts,
        };
        if (booked.Receipt.ToPay is Amount toPay)
        {
            said["to_pay"] = toPay.MinorUnits;
            said["receipt_lines"] = new JsonArray(booked.Lines.Select(line => (JsonNode?)line).ToArray());
        }
        return said;
    }
    catch (RefusedException refused)
    {
        if (refused.Signed is not null)
        {
            Keep(kept, refused.Signed);
        }
        return new JsonObject { ["key"] = key, ["outcome"] = "refused", ["reason"] = refused.Failure.Reason };
    }
    catch (NoAnswerException)
    {
        return new JsonObject { ["key"] = key, ["outcome"] = "unknown" };
    }
}

// Verifies what was kept with the keys that the network lists now.
static void Verify(string profile, string receipts)
{
    using var till = new Till(Load(profile));
    string[] lines = File.ReadAllLines(receipts);
    foreach (string line in lines)
    {
        till.Verify(Unkept(line));
    }
    Say($"{lines.Length} receipts verified");
}

// The form that `tallystick audit --receipts` compares with the books.
static void Keep(TextWriter kept, SignedReceipt signed) =>
    kept.Write(new JsonObject
    {
        ["receipt"] = signed.Receipt.ToBase64(),
        ["signature"] = signed.Signature.ToBase64(),
        ["key_id"] = signed.KeyId,
    }.ToJsonString() + "\n");

static SignedReceipt Unkept(string line)
{
    JsonNode kept = JsonNode.Parse(line)!;
    return new SignedReceipt
    {
        Receipt = ByteString.FromBase64((string)kept["receipt"]!),
        Signature = ByteString.FromBase64((string)kept["signature"]!),
        KeyId = (string)kept["key_id"]!,
    };
}

static Profile Load(string file) => JsonSerializer.Deserialize<Profile>(File.ReadAllText(file))!;

static void Say(string line) => Console.Write(line + "\n");
