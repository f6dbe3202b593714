using System.Security.Cryptography;
using System.Text;

namespace Tallystick.Example;

/// <summary>The lines that are signed: docs/protocol.md, sections 1, 4 and 5.</summary>
static class Signing
{
    /// <summary>The eight lines of a request; the body is the serialized message, exactly as it is sent.</summary>
    public static byte[] Request(string audience, string method, string keyId, string created, string nonce, byte[] body) =>
        Lines("TS1-REQUEST", audience, method, keyId, created, nonce, Sha256(body), $"{body.Length}");

    /// <summary>The four lines of a receipt, whose bytes are taken as they came.</summary>
    public static byte[] Receipt(string audience, string keyId, byte[] receipt) =>
        Lines("TS1-RECEIPT", audience, keyId, Sha256(receipt));

    /// <summary>The six lines by which the holder of a new key proves it; the document is empty for a further key.</summary>
    public static byte[] Proof(string audience, string keyId, string algorithm, byte[] publicKey, byte[] document) =>
        Lines("TS1-PROOF", audience, keyId, algorithm, Sha256(publicKey), Sha256(document));

    /// <summary>16 random bytes as base64url without padding.</summary>
    public static string Nonce() =>
        Convert.ToBase64String(RandomNumberGenerator.GetBytes(16)).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    /// <summary>64 bytes: r and s. The other format would be DER, which is refused.</summary>
    public static byte[] Sign(ECDsa key, byte[] lines) =>
        key.SignData(lines, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);

    public static string Hex(byte[] bytes) => Convert.ToHexString(bytes).ToLowerInvariant();

    static string Sha256(byte[] bytes) => Hex(SHA256.HashData(bytes));

    // LF on every machine, and after the last line, too: Environment.NewLine and AppendLine write CR LF on Windows.
    static byte[] Lines(params string[] lines) => Encoding.ASCII.GetBytes(string.Join('\n', lines) + "\n");
}
