package org.tallystick.example;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.SignatureException;
import java.util.Base64;
import java.util.HexFormat;

/** The lines that are signed, and the two algorithms: docs/protocol.md, sections 1, 4 and 5. Nothing but the JDK. */
final class Signing {
    private static final int SIGNATURE_BYTES = 64;
    private static final SecureRandom RANDOM = new SecureRandom();

    private Signing() {}

    /** The eight lines of a request; {@code body} is the serialized message, exactly as it is sent. */
    static byte[] request(String audience, String method, String keyId, String created, String nonce, byte[] body) {
        return lines("TS1-REQUEST", audience, method, keyId, created, nonce, sha256(body), "" + body.length);
    }

    /** The four lines of a receipt, whose bytes are taken as they came. */
    static byte[] receipt(String audience, String keyId, byte[] receipt) {
        return lines("TS1-RECEIPT", audience, keyId, sha256(receipt));
    }

    /** The six lines by which the holder of a new key proves it; {@code document} is empty for a further key. */
    static byte[] proof(String audience, String keyId, String algorithm, byte[] publicKey, byte[] document) {
        return lines("TS1-PROOF", audience, keyId, algorithm, sha256(publicKey), sha256(document));
    }

    /** 16 random bytes as base64url without padding. */
    static String nonce() {
        byte[] bytes = new byte[16];
        RANDOM.nextBytes(bytes);
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    /** 64 bytes: R and S, or r and s. */
    static byte[] sign(PrivateKey key, byte[] lines) {
        try {
            Signature signature = Signature.getInstance(algorithm(key));
            signature.initSign(key);
            signature.update(lines);
            return signature.sign();
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException("the key cannot sign", error);
        }
    }

    /** Whether the signature holds. Libraries take an R of small order, which needs no secret; we do not. */
    static boolean verify(PublicKey key, byte[] lines, byte[] signed) {
        if (signed.length != SIGNATURE_BYTES || (!isEc(key) && Keys.hasSmallOrder(signed))) {
            return false;
        }
        try {
            Signature signature = Signature.getInstance(algorithm(key));
            signature.initVerify(key);
            signature.update(lines);
            return signature.verify(signed);
        } catch (SignatureException outOfRange) {
            return false;
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException("the key cannot verify", error);
        }
    }

    private static byte[] lines(String... lines) {
        // LF on every machine, and after the last line, too.
        return (String.join("\n", lines) + "\n").getBytes(StandardCharsets.US_ASCII);
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String algorithm(Key key) {
        return isEc(key) ? "SHA256withECDSAinP1363Format" : "Ed25519"; // "SHA256withECDSA" alone would make DER
    }

    private static boolean isEc(Key key) {
        return key.getAlgorithm().equals("EC");
    }
}
