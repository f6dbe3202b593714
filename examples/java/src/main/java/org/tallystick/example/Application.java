package org.tallystick.example;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.ToNumberPolicy;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.KeyPair;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The application by which a partner joins, from a draft in JSON: the file that `tallystick partners onboard` reads, with
 * the proof that we hold the key. docs/protocol.md, section 5, has the document that is signed.
 */
final class Application {
    private static final Gson GSON =
            new GsonBuilder().disableHtmlEscaping().setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE).create();
    private static final List<String> PRICES = List.of("issue_price", "face_value", "reimbursement_rate");

    private Application() {}

    /** The signed application in TOML. */
    static String signed(String draft, KeyPair pair, String keyId) {
        Map<String, Object> facts = tree(GSON.fromJson(draft, Object.class));
        byte[] publicKey = Keys.rawP256(pair.getPublic());
        facts.put("key", new TreeMap<>(Map.of(
                "key_id", keyId,
                "algorithm", Keys.P256,
                "public_key", HexFormat.of().formatHex(publicKey),
                "scopes", List.of("office", "till"))));
        byte[] lines = Signing.proof((String) facts.get("audience"), keyId, Keys.P256, publicKey, document(facts));
        String signature = HexFormat.of().formatHex(Signing.sign(pair.getPrivate(), lines));
        facts.put("proof", Map.of("signature", signature));
        StringBuilder toml = new StringBuilder();
        write(toml, "", facts);
        return toml.toString();
    }

    /** Canonical JSON: sorted keys, no spaces, ASCII. The rate card says whose it is, and has its prices in millionths. */
    private static byte[] document(Map<String, Object> facts) {
        Map<String, Object> document = new TreeMap<>(facts);
        document.put("form", "TS1-APPLICATION");
        document.putIfAbsent("vat_id", "");
        Map<String, Object> card = tree(facts.get("rate_card"));
        card.put("partner_id", facts.get("partner_id"));
        card.put("currency", facts.get("currency"));
        card.put("version", 1);
        for (String price : PRICES) {
            card.put(price + "_micros", new BigDecimal((String) card.remove(price)).movePointRight(6).longValueExact());
        }
        document.put("rate_card", card);
        StringBuilder ascii = new StringBuilder();
        for (char unit : GSON.toJson(document).toCharArray()) {
            ascii.append(unit <= '~' ? String.valueOf(unit) : String.format("\\u%04x", (int) unit));
        }
        return ascii.toString().getBytes(StandardCharsets.US_ASCII);
    }

    /** Values first, then tables. A JSON string or list is one of TOML as well. */
    private static void write(StringBuilder toml, String prefix, Map<String, Object> table) {
        table.forEach((name, value) -> {
            if (!(value instanceof Map)) {
                String named = name.matches("[A-Za-z0-9_-]+") ? name : GSON.toJson(name);
                toml.append(named).append(" = ").append(GSON.toJson(value)).append('\n');
            }
        });
        table.forEach((name, value) -> {
            if (value instanceof Map) {
                toml.append("\n[").append(prefix).append(name).append("]\n");
                write(toml, prefix + name + ".", tree(value));
            }
        });
    }

    /** A sorted copy of a table, and of the tables in it. */
    private static Map<String, Object> tree(Object table) {
        Map<String, Object> sorted = new TreeMap<>();
        ((Map<?, ?>) table).forEach((name, value) -> sorted.put((String) name, value instanceof Map ? tree(value) : value));
        return sorted;
    }
}
