package org.tallystick.example;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Set;

/** A till's own key, made here and kept in a PEM file; and public keys of others, checked as docs/protocol.md asks. */
final class Keys {
    static final String P256 = "ecdsa-p256-sha256";
    static final String ED25519 = "ed25519";
    static final int P256_BYTES = 65;

    // What stands before the bare key in a SubjectPublicKeyInfo.
    private static final String P256_PREFIX = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    private static final String ED25519_PREFIX = "302a300506032b6570032100";

    private static final BigInteger ONE = BigInteger.ONE;
    private static final BigInteger P256_P = new BigInteger("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", 16);
    private static final BigInteger P256_B = new BigInteger("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b", 16);
    private static final BigInteger ED_P = ONE.shiftLeft(255).subtract(BigInteger.valueOf(19));
    private static final BigInteger ED_D = BigInteger.valueOf(-121665).multiply(BigInteger.valueOf(121666).modInverse(ED_P));
    private static final BigInteger ORDER_8 =
            new BigInteger("5fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16);
    private static final Set<BigInteger> SMALL_ORDER =
            Set.of(BigInteger.ZERO, ONE, ED_P.subtract(ONE), ORDER_8, ED_P.subtract(ORDER_8));

    private Keys() {}

    /** Makes a P-256 key and writes it, private and public half, into a new file that only its owner can read. */
    static KeyPair generate(Path file) throws GeneralSecurityException, IOException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        KeyPair pair = generator.generateKeyPair();
        var owner = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));
        Files.createFile(file, owner); // fails if it exists: a key is never overwritten
        String text = pem("PRIVATE KEY", pair.getPrivate().getEncoded()) + pem("PUBLIC KEY", pair.getPublic().getEncoded());
        Files.writeString(file, text, StandardOpenOption.WRITE);
        return pair;
    }

    /** Reads what {@link #generate} wrote. The JDK cannot find the public half of a private key, so the file has both. */
    static KeyPair load(Path file) throws GeneralSecurityException, IOException {
        String text = Files.readString(file);
        KeyFactory factory = KeyFactory.getInstance("EC");
        return new KeyPair(
                factory.generatePublic(new X509EncodedKeySpec(unpem("PUBLIC KEY", text))),
                factory.generatePrivate(new PKCS8EncodedKeySpec(unpem("PRIVATE KEY", text))));
    }

    /** The 65 bytes of a P-256 key: 04, x, y. They end its SubjectPublicKeyInfo. */
    static byte[] rawP256(PublicKey key) {
        byte[] encoded = key.getEncoded();
        return Arrays.copyOfRange(encoded, encoded.length - P256_BYTES, encoded.length);
    }

    /** A public key from its bare bytes. Refuses what libraries load although anybody could sign for it, or nobody. */
    static PublicKey publicKey(String algorithm, byte[] raw) throws GeneralSecurityException {
        boolean isP256 = algorithm.equals(P256);
        if (!(isP256 ? isGoodP256(raw) : isGoodEd25519(raw))) {
            throw new GeneralSecurityException("malformed or weak " + algorithm + " key");
        }
        byte[] encoded = HexFormat.of().parseHex((isP256 ? P256_PREFIX : ED25519_PREFIX) + HexFormat.of().formatHex(raw));
        return KeyFactory.getInstance(isP256 ? "EC" : "Ed25519").generatePublic(new X509EncodedKeySpec(encoded));
    }

    /** Whether an Ed25519 key, or the R in front of a signature, is a point of small order. */
    static boolean hasSmallOrder(byte[] encoded) {
        return SMALL_ORDER.contains(edwardsY(encoded).mod(ED_P));
    }

    private static boolean isGoodEd25519(byte[] raw) {
        if (raw.length != 32 || edwardsY(raw).compareTo(ED_P) >= 0 || hasSmallOrder(raw)) {
            return false;
        }
        // On the curve if x² = (y² - 1) / (d·y² + 1) has a root.
        BigInteger square = edwardsY(raw).pow(2);
        BigInteger product = square.subtract(ONE).multiply(ED_D.multiply(square).add(ONE));
        return product.modPow(ED_P.subtract(ONE).shiftRight(1), ED_P).equals(ONE);
    }

    private static boolean isGoodP256(byte[] raw) {
        if (raw.length != P256_BYTES || raw[0] != 4) {
            return false;
        }
        BigInteger x = new BigInteger(1, raw, 1, 32);
        BigInteger y = new BigInteger(1, raw, 33, 32);
        BigInteger right = x.pow(3).subtract(x.multiply(BigInteger.valueOf(3))).add(P256_B);
        return x.compareTo(P256_P) < 0 && y.compareTo(P256_P) < 0 && y.pow(2).subtract(right).mod(P256_P).signum() == 0;
    }

    private static BigInteger edwardsY(byte[] encoded) {
        byte[] bigEndian = new byte[32];
        for (int i = 0; i < 32; i++) {
            bigEndian[i] = encoded[31 - i];
        }
        bigEndian[0] &= 0x7f; // the sign of x
        return new BigInteger(1, bigEndian);
    }

    private static String pem(String what, byte[] encoded) {
        String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(encoded);
        return "-----BEGIN " + what + "-----\n" + body + "\n-----END " + what + "-----\n";
    }

    private static byte[] unpem(String what, String text) throws GeneralSecurityException {
        String[] parts = text.split("-----(BEGIN|END) " + what + "-----");
        if (parts.length < 2) {
            throw new GeneralSecurityException("no " + what + " in the file");
        }
        return Base64.getMimeDecoder().decode(parts[1]);
    }
}
