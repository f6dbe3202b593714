package org.tallystick.example;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Function;
import org.tallystick.example.ReceiptKeys.BadReceipt;
import org.tallystick.v1.ReceiptKey;
import org.tallystick.v1.SignedReceipt;

/** Judges tests/vectors with the code of this till: what it signs, and what it believes. */
final class Vectors {
    private static final int AGE_MS_MAX = 120_000;
    private static final int AHEAD_MS_MAX = 30_000;
    private static final String PART = "/[A-Za-z0-9][A-Za-z0-9._-]{0,31}";
    private static final String KEY_ID = "[a-z0-9][a-z0-9-]{1,31}" + PART + PART;
    private static final String CREATED = "[0-9]{13}";
    private static final String NONCE = "[A-Za-z0-9_-]{21}[AQgw]";

    private Vectors() {}

    /** One line a vector: file, name, verdict; the verdict is ours, not the file's. False if one differs from the file's. */
    static boolean judge(Path folder) throws IOException, GeneralSecurityException {
        JsonObject receipts = read(folder, "receipts.json");
        ReceiptKeys keys = receiptKeys(receipts.getAsJsonArray("receipt_keys"));
        return judge("requests.json", read(folder, "requests.json"), Vectors::request)
                & judge("proofs.json", read(folder, "proofs.json"), Vectors::proof)
                & judge("receipts.json", receipts, vector -> receipt(keys, vector));
    }

    private static boolean judge(String file, JsonObject content, Function<JsonObject, String> judge) {
        boolean areAllRight = true;
        for (JsonElement each : content.getAsJsonArray("vectors")) {
            JsonObject vector = each.getAsJsonObject();
            String verdict = judge.apply(vector);
            System.out.println(file + " " + text(vector, "name") + " " + verdict);
            areAllRight &= verdict.equals(text(vector, "expected"));
        }
        return areAllRight;
    }

    /** What a gateway answers that has the vector's key on record, at the vector's time. */
    private static String request(JsonObject vector) {
        String keyId = text(vector, "key_id");
        String created = text(vector, "created");
        String nonce = text(vector, "nonce");
        if (!keyId.matches(KEY_ID) || !created.matches(CREATED) || !nonce.matches(NONCE)) {
            return "SIGNATURE_PARAM_MALFORMED";
        }
        byte[] lines = Signing.request(text(vector, "audience"), text(vector, "method"), keyId, created, nonce, hex(vector, "body_hex"));
        String verdict = verify(vector, lines);
        long ageMs = vector.get("gateway_time_ms").getAsLong() - Long.parseLong(created);
        boolean isFresh = -AHEAD_MS_MAX <= ageMs && ageMs <= AGE_MS_MAX;
        return verdict.equals("valid") && !isFresh ? "SIGNATURE_TIME_OUT_OF_WINDOW" : verdict;
    }

    private static String proof(JsonObject vector) {
        byte[] key = hex(vector, "public_key_hex");
        return verify(vector, Signing.proof(
                text(vector, "audience"), text(vector, "key_id"), text(vector, "algorithm"), key, hex(vector, "document_hex")));
    }

    private static String receipt(ReceiptKeys keys, JsonObject vector) {
        byte[] receipt = hex(vector, "receipt_hex");
        if (differs(vector, Signing.receipt(text(vector, "audience"), text(vector, "key_id"), receipt))) {
            return "OTHER_LINES";
        }
        try {
            keys.verify(SignedReceipt.newBuilder()
                    .setReceipt(ByteString.copyFrom(receipt))
                    .setSignature(ByteString.copyFrom(hex(vector, "signature_hex")))
                    .setKeyId(text(vector, "key_id"))
                    .build());
            return "valid";
        } catch (BadReceipt bad) {
            return bad.getMessage();
        }
    }

    private static String verify(JsonObject vector, byte[] lines) {
        if (differs(vector, lines)) {
            return "OTHER_LINES";
        }
        try {
            var key = Keys.publicKey(text(vector, "algorithm"), hex(vector, "public_key_hex"));
            return Signing.verify(key, lines, hex(vector, "signature_hex")) ? "valid" : "SIGNATURE_INVALID";
        } catch (GeneralSecurityException weak) {
            return "PUBLIC_KEY_REFUSED";
        }
    }

    private static boolean differs(JsonObject vector, byte[] lines) {
        return !Arrays.equals(lines, text(vector, "signed_string").getBytes(StandardCharsets.US_ASCII));
    }

    private static ReceiptKeys receiptKeys(JsonArray listed) throws GeneralSecurityException {
        List<ReceiptKey> keys = new ArrayList<>();
        for (JsonElement each : listed) {
            JsonObject key = each.getAsJsonObject();
            keys.add(ReceiptKey.newBuilder()
                    .setKeyId(text(key, "key_id"))
                    .setPublicKey(ByteString.copyFrom(hex(key, "public_key_hex")))
                    .setValidFromMs(key.get("valid_from_ms").getAsLong())
                    .setValidUntilMs(key.get("valid_until_ms").getAsLong())
                    .build());
        }
        return new ReceiptKeys("coalition.example:test", keys);
    }

    private static JsonObject read(Path folder, String name) throws IOException {
        return JsonParser.parseString(Files.readString(folder.resolve(name))).getAsJsonObject();
    }

    private static String text(JsonObject object, String name) {
        return object.get(name).getAsString();
    }

    private static byte[] hex(JsonObject object, String name) {
        return HexFormat.of().parseHex(text(object, name));
    }
}
