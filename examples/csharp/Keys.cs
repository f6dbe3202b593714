using System.Globalization;
using System.Numerics;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Crypto.Signers;

namespace Tallystick.Example;

/// <summary>Whether a signature over these lines holds.</summary>
delegate bool Verifier(byte[] lines, byte[] signature);

/// <summary>A till's own key, made here; and public keys of others, checked as docs/protocol.md asks.</summary>
static class Keys
{
    public const string P256 = "ecdsa-p256-sha256";
    public const string Ed25519 = "ed25519";

    const int SignatureBytes = 64;

    static readonly BigInteger P256P = Number("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    static readonly BigInteger P256B = Number("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b");
    static readonly BigInteger EdP = BigInteger.Pow(2, 255) - 19;
    static readonly BigInteger EdD = -121665 * BigInteger.ModPow(121666, EdP - 2, EdP);
    static readonly BigInteger Order8 = Number("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826");
    static readonly HashSet<BigInteger> SmallOrder = [0, 1, EdP - 1, Order8, EdP - Order8];

    /// <summary>Makes a P-256 key in a new file that only its owner can read.</summary>
    public static ECDsa Generate(string file)
    {
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        // Fails if the file exists: a key is never overwritten.
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }
        using var writer = new StreamWriter(file, options);
        writer.Write(key.ExportPkcs8PrivateKeyPem() + "\n");
        return key;
    }

    /// <summary>The private key of such a file.</summary>
    public static ECDsa Load(string file)
    {
        var key = ECDsa.Create();
        key.ImportFromPem(File.ReadAllText(file));
        return key;
    }

    /// <summary>The 65 bytes of a P-256 key: 04, x, y.</summary>
    public static byte[] Raw(ECDsa key)
    {
        ECPoint point = key.ExportParameters(includePrivateParameters: false).Q;
        return [4, .. point.X!, .. point.Y!];
    }

    /// <summary>For a public key's bare bytes. Refuses what libraries load although anybody could sign for it, or nobody.</summary>
    /// <exception cref="CryptographicException">A malformed or weak key.</exception>
    public static Verifier VerifierOf(string algorithm, byte[] raw) =>
        algorithm == P256 ? P256Verifier(raw) : Ed25519Verifier(raw);

    static Verifier P256Verifier(byte[] raw)
    {
        if (!IsGoodP256(raw))
        {
            throw new CryptographicException("malformed P-256 key");
        }
        var key = ECDsa.Create(new ECParameters
        {
            Curve = ECCurve.NamedCurves.nistP256,
            Q = new ECPoint { X = raw[1..33], Y = raw[33..] },
        });
        return (lines, signature) => signature.Length == SignatureBytes && key.VerifyData(
            lines, signature, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
    }

    static Verifier Ed25519Verifier(byte[] raw)
    {
        if (!IsGoodEd25519(raw))
        {
            throw new CryptographicException("malformed or weak Ed25519 key");
        }
        var key = new Ed25519PublicKeyParameters(raw);
        return (lines, signature) =>
        {
            // Libraries take an R of small order, which needs no secret; we do not.
            if (signature.Length != SignatureBytes || HasSmallOrder(signature))
            {
                return false;
            }
            var signer = new Ed25519Signer();
            signer.Init(false, key);
            signer.BlockUpdate(lines, 0, lines.Length);
            return signer.VerifySignature(signature);
        };
    }

    static bool IsGoodP256(byte[] raw)
    {
        if (raw.Length != 65 || raw[0] != 4)
        {
            return false;
        }
        var x = new BigInteger(raw.AsSpan(1, 32), isUnsigned: true, isBigEndian: true);
        var y = new BigInteger(raw.AsSpan(33, 32), isUnsigned: true, isBigEndian: true);
        return x < P256P && y < P256P && ((y * y) - ((x * x * x) - (3 * x) + P256B)) % P256P == 0;
    }

    static bool IsGoodEd25519(byte[] raw)
    {
        if (raw.Length != 32 || EdwardsY(raw) >= EdP || HasSmallOrder(raw))
        {
            return false;
        }
        // On the curve if x² = (y² - 1) / (d·y² + 1) has a root.
        BigInteger square = EdwardsY(raw) * EdwardsY(raw);
        BigInteger product = (square - 1) * ((EdD * square) + 1) % EdP;
        return BigInteger.ModPow((product + EdP) % EdP, (EdP - 1) / 2, EdP) == 1;
    }

    static bool HasSmallOrder(byte[] encoded) => SmallOrder.Contains(EdwardsY(encoded) % EdP);

    static BigInteger EdwardsY(byte[] encoded)
    {
        byte[] littleEndian = encoded[..32];
        littleEndian[31] &= 0x7f; // the sign of x
        return new BigInteger(littleEndian, isUnsigned: true);
    }

    static BigInteger Number(string hex) => BigInteger.Parse("0" + hex, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
