using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Tallystick.Example;

/// <summary>
/// The application by which a partner joins, from a draft in JSON: the file that `tallystick partners onboard` reads, with
/// the proof that we hold the key. docs/protocol.md, section 5, has the document that is signed.
/// </summary>
static class Application
{
    static readonly string[] Prices = ["issue_price", "face_value", "reimbursement_rate"];

    /// <summary>The signed application in TOML.</summary>
    public static string Signed(string draft, ECDsa key, string keyId)
    {
        JsonObject facts = JsonNode.Parse(draft)!.AsObject();
        byte[] publicKey = Keys.Raw(key);
        facts["key"] = new JsonObject
        {
            ["key_id"] = keyId,
            ["algorithm"] = Keys.P256,
            ["public_key"] = Signing.Hex(publicKey),
            ["scopes"] = new JsonArray("office", "till"),
        };
        byte[] lines = Signing.Proof((string)facts["audience"]!, keyId, Keys.P256, publicKey, Document(facts));
        facts["proof"] = new JsonObject { ["signature"] = Signing.Hex(Signing.Sign(key, lines)) };
        return Toml(facts, "");
    }

    // Canonical JSON: sorted keys, no spaces, ASCII. The rate card says whose it is, and has its prices in millionths.
    static byte[] Document(JsonObject facts)
    {
        JsonObject document = facts.DeepClone().AsObject();
        document["form"] = "TS1-APPLICATION";
        document["vat_id"] = (string?)document["vat_id"] ?? "";
        JsonObject card = document["rate_card"]!.AsObject();
        card["partner_id"] = (string)facts["partner_id"]!;
        card["currency"] = (string)facts["currency"]!;
        card["version"] = 1;
        foreach (string price in Prices)
        {
            decimal inMinorUnits = decimal.Parse((string)card[price]!, CultureInfo.InvariantCulture);
            card.Remove(price);
            card[$"{price}_micros"] = (long)(inMinorUnits * 1_000_000m);
        }
        return Encoding.ASCII.GetBytes(Canonical(document));
    }

    static string Canonical(JsonNode? node) => node switch
    {
        JsonObject table => "{" + string.Join(',', table
            .OrderBy(entry => entry.Key, StringComparer.Ordinal)
            .Select(entry => Quoted(entry.Key, isAscii: true) + ":" + Canonical(entry.Value))) + "}",
        JsonArray list => "[" + string.Join(',', list.Select(Canonical)) + "]",
        JsonValue value when value.TryGetValue(out string? text) => Quoted(text, isAscii: true),
        _ => node!.ToJsonString(),
    };

    // Values first, then tables. A JSON string or list is one of TOML as well.
    static string Toml(JsonObject table, string prefix)
    {
        var toml = new StringBuilder();
        foreach (var (name, value) in table.Where(entry => entry.Value is not JsonObject))
        {
            string written = value is JsonArray list
                ? "[" + string.Join(", ", list.Select(item => Quoted((string)item!, isAscii: false))) + "]"
                : Quoted((string)value!, isAscii: false);
            toml.Append(Regex.IsMatch(name, "^[A-Za-z0-9_-]+$") ? name : Quoted(name, isAscii: false)).Append($" = {written}\n");
        }
        foreach (var (name, value) in table.Where(entry => entry.Value is JsonObject))
        {
            toml.Append($"\n[{prefix}{name}]\n").Append(Toml(value!.AsObject(), $"{prefix}{name}."));
        }
        return toml.ToString();
    }

    static string Quoted(string text, bool isAscii)
    {
        var quoted = new StringBuilder("\"");
        foreach (char unit in text)
        {
            quoted.Append(unit switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\b' => "\\b",
                '\f' => "\\f",
                < ' ' or '\u007f' => $"\\u{(int)unit:x4}",
                > '\u007f' when isAscii => $"\\u{(int)unit:x4}",
                _ => unit.ToString(),
            });
        }
        return quoted.Append('"').ToString();
    }
}
