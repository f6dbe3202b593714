using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Google.Protobuf;
using Tallystick.V1;

namespace Tallystick.Example;

/// <summary>Judges tests/vectors with the code of this till: what it signs, and what it believes.</summary>
static class Vectors
{
    const long AgeMsMax = 120_000;
    const long AheadMsMax = 30_000;
    const string Malformed = "SIGNATURE_PARAM_MALFORMED";

    // \z, since $ would let a line feed follow.
    static readonly Regex KeyId = new(@"\A[a-z0-9][a-z0-9-]{1,31}(/[A-Za-z0-9][A-Za-z0-9._-]{0,31}){2}\z");
    static readonly Regex Created = new(@"\A[0-9]{13}\z");
    static readonly Regex Nonce = new(@"\A[A-Za-z0-9_-]{21}[AQgw]\z");

    /// <summary>
    /// One line a vector: file, name, verdict; the verdict is ours, not the file's. False if one differs from the file's.
    /// </summary>
    public static bool JudgeAll(string folder)
    {
        JsonObject receipts = Read(folder, "receipts.json");
        var keys = new ReceiptKeys("coalition.example:test", receipts["receipt_keys"]!.AsArray().Select(key => ReceiptKeyOf(key!)));
        return JudgeFile("requests.json", Read(folder, "requests.json"), JudgeRequest)
            & JudgeFile("proofs.json", Read(folder, "proofs.json"), JudgeProof)
            & JudgeFile("receipts.json", receipts, vector => JudgeReceipt(keys, vector));
    }

    static bool JudgeFile(string file, JsonObject content, Func<JsonNode, string> judge)
    {
        bool areAllRight = true;
        foreach (JsonNode? vector in content["vectors"]!.AsArray())
        {
            string verdict = judge(vector!);
            Console.Write($"{file} {Text(vector!, "name")} {verdict}\n");
            areAllRight &= verdict == Text(vector!, "expected");
        }
        return areAllRight;
    }

    // What a gateway answers that has the vector's key on record, at the vector's time.
    static string JudgeRequest(JsonNode vector)
    {
        string keyId = Text(vector, "key_id"), created = Text(vector, "created"), nonce = Text(vector, "nonce");
        if (!KeyId.IsMatch(keyId) || !Created.IsMatch(created) || !Nonce.IsMatch(nonce))
        {
            return Malformed;
        }
        byte[] body = Hex(vector, "body_hex");
        string verdict = Judge(vector, Signing.Request(Text(vector, "audience"), Text(vector, "method"), keyId, created, nonce, body));
        long ageMs = (long)vector["gateway_time_ms"]! - long.Parse(created);
        return verdict == "valid" && ageMs is < -AheadMsMax or > AgeMsMax ? "SIGNATURE_TIME_OUT_OF_WINDOW" : verdict;
    }

    static string JudgeProof(JsonNode vector)
    {
        byte[] key = Hex(vector, "public_key_hex"), document = Hex(vector, "document_hex");
        return Judge(vector, Signing.Proof(Text(vector, "audience"), Text(vector, "key_id"), Text(vector, "algorithm"), key, document));
    }

    static string JudgeReceipt(ReceiptKeys keys, JsonNode vector)
    {
        byte[] receipt = Hex(vector, "receipt_hex");
        if (Differs(vector, Signing.Receipt(Text(vector, "audience"), Text(vector, "key_id"), receipt)))
        {
            return "OTHER_LINES";
        }
        try
        {
            keys.Verify(new SignedReceipt
            {
                Receipt = ByteString.CopyFrom(receipt),
                Signature = ByteString.CopyFrom(Hex(vector, "signature_hex")),
                KeyId = Text(vector, "key_id"),
            });
            return "valid";
        }
        catch (BadReceiptException bad)
        {
            return bad.Message;
        }
    }

    static string Judge(JsonNode vector, byte[] lines)
    {
        if (Differs(vector, lines))
        {
            return "OTHER_LINES";
        }
        try
        {
            Verifier verify = Keys.VerifierOf(Text(vector, "algorithm"), Hex(vector, "public_key_hex"));
            return verify(lines, Hex(vector, "signature_hex")) ? "valid" : "SIGNATURE_INVALID";
        }
        catch (CryptographicException)
        {
            return "PUBLIC_KEY_REFUSED";
        }
    }

    static bool Differs(JsonNode vector, byte[] lines) => !lines.SequenceEqual(Encoding.ASCII.GetBytes(Text(vector, "signed_string")));

    static ReceiptKey ReceiptKeyOf(JsonNode key) => new()
    {
        KeyId = Text(key, "key_id"),
        PublicKey = ByteString.CopyFrom(Hex(key, "public_key_hex")),
        ValidFromMs = (long)key["valid_from_ms"]!,
        ValidUntilMs = (long)key["valid_until_ms"]!,
    };

    static JsonObject Read(string folder, string name) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, name)))!.AsObject();

    static string Text(JsonNode node, string name) => (string)node[name]!;

    static byte[] Hex(JsonNode node, string name) => Convert.FromHexString(Text(node, name));
}
