using Tallystick.V1;

namespace Tallystick.Example;

/// <summary>A receipt that proves nothing: hand out no goods on it.</summary>
sealed class BadReceiptException(string reason) : Exception(reason);

/// <summary>
/// The network's receipt keys, as GetNetwork lists them; a receipt is judged by when it was booked, also after a rotation.
/// </summary>
sealed class ReceiptKeys(string audience, IEnumerable<ReceiptKey> listed)
{
    readonly Dictionary<string, (Verifier Verify, ReceiptKey Life)> keys = listed.ToDictionary(
        key => key.KeyId, key => (Keys.VerifierOf(Keys.Ed25519, key.PublicKey.ToByteArray()), key));

    /// <summary>If not, ask GetNetwork once more: the network may have a new key.</summary>
    public bool Has(string keyId) => keys.ContainsKey(keyId);

    /// <summary>The content of a receipt that holds. Whoever knows what he asked for compares partner and idempotency key, too.</summary>
    public Receipt Verify(SignedReceipt signed)
    {
        if (!keys.TryGetValue(signed.KeyId, out var key))
        {
            throw new BadReceiptException("KEY_UNKNOWN");
        }
        byte[] lines = Signing.Receipt(audience, signed.KeyId, signed.Receipt.ToByteArray()); // as it came, never serialized again
        if (!key.Verify(lines, signed.Signature.ToByteArray()))
        {
            throw new BadReceiptException("SIGNATURE_INVALID");
        }
        Receipt receipt = Receipt.Parser.ParseFrom(signed.Receipt);
        long bookedMs = receipt.BookedAtMs;
        if (bookedMs < key.Life.ValidFromMs || (key.Life.ValidUntilMs != 0 && bookedMs > key.Life.ValidUntilMs))
        {
            throw new BadReceiptException("KEY_NOT_IN_USE_WHEN_BOOKED");
        }
        return receipt.Audience == audience ? receipt : throw new BadReceiptException("AUDIENCE_DIFFERS");
    }
}
