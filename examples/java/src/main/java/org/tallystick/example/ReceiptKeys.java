package org.tallystick.example;

import com.google.protobuf.InvalidProtocolBufferException;
import java.security.GeneralSecurityException;
import java.security.PublicKey;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.tallystick.v1.Receipt;
import org.tallystick.v1.ReceiptKey;
import org.tallystick.v1.SignedReceipt;

/** The network's receipt keys, as GetNetwork lists them; a receipt is judged by when it was booked, also after a rotation. */
final class ReceiptKeys {
    private record Life(PublicKey key, long fromMs, long untilMs) {}

    private final String audience;
    private final Map<String, Life> lives = new HashMap<>();

    ReceiptKeys(String audience, List<ReceiptKey> listed) throws GeneralSecurityException {
        this.audience = audience;
        for (ReceiptKey one : listed) {
            PublicKey key = Keys.publicKey(Keys.ED25519, one.getPublicKey().toByteArray());
            lives.put(one.getKeyId(), new Life(key, one.getValidFromMs(), one.getValidUntilMs()));
        }
    }

    /** If not, ask GetNetwork once more: the network may have a new key. */
    boolean has(String keyId) {
        return lives.containsKey(keyId);
    }

    /** The content of a receipt that holds. Whoever knows what he asked for compares partner and idempotency key, too. */
    Receipt verify(SignedReceipt signed) throws BadReceipt {
        Life life = lives.get(signed.getKeyId());
        if (life == null) {
            throw new BadReceipt("KEY_UNKNOWN");
        }
        byte[] bytes = signed.getReceipt().toByteArray(); // hashed as they came, never serialized again
        byte[] lines = Signing.receipt(audience, signed.getKeyId(), bytes);
        if (!Signing.verify(life.key, lines, signed.getSignature().toByteArray())) {
            throw new BadReceipt("SIGNATURE_INVALID");
        }
        Receipt receipt;
        try {
            receipt = Receipt.parseFrom(bytes);
        } catch (InvalidProtocolBufferException error) {
            throw new BadReceipt("MALFORMED");
        }
        long bookedMs = receipt.getBookedAtMs();
        if (bookedMs < life.fromMs || (life.untilMs != 0 && bookedMs > life.untilMs)) {
            throw new BadReceipt("KEY_NOT_IN_USE_WHEN_BOOKED");
        }
        if (!receipt.getAudience().equals(audience)) {
            throw new BadReceipt("AUDIENCE_DIFFERS");
        }
        return receipt;
    }

    /** A receipt that proves nothing: hand out no goods on it. */
    static final class BadReceipt extends Exception {
        private static final long serialVersionUID = 1;

        BadReceipt(String reason) {
            super(reason);
        }
    }
}
