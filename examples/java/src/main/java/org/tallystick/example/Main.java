package org.tallystick.example;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.protobuf.ByteString;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Map;
import org.tallystick.example.ReceiptKeys.BadReceipt;
import org.tallystick.example.Till.Booked;
import org.tallystick.example.Till.NoAnswer;
import org.tallystick.example.Till.Refused;
import org.tallystick.v1.Receipt;
import org.tallystick.v1.ReceiptLeg;
import org.tallystick.v1.SignedReceipt;

/** The commands; README.md shows them in their order. */
final class Main {
    private static final Gson GSON = new Gson();
    private static final String USAGE =
            "keygen KEY | apply DRAFT KEY KEY_ID OUT | sell PROFILE RECEIPTS | verify PROFILE RECEIPTS | vectors FOLDER";

    /** What a line of input may ask for, such as: issue KEY CARD CENTS. A number that is left out is 0. */
    private interface Call {
        Booked on(Till till, String key, String name, long... numbers) throws Refused, NoAnswer, BadReceipt;
    }

    private static final Map<String, Call> CALLS = Map.of(
            "enrol", (till, key, card, none) -> till.enrol(key, card),
            "issue", (till, key, card, numbers) -> till.issue(key, card, numbers[0]),
            "redeem", (till, key, card, numbers) -> till.redeem(key, card, numbers[0]),
            "checkout", (till, key, card, numbers) -> till.checkout(key, card, numbers[0], numbers[1]),
            "refund", (till, key, checkoutKey, numbers) -> till.refund(key, checkoutKey, numbers[0]));

    private Main() {}

    public static void main(String[] words) throws Exception {
        switch (words.length == 0 ? "" : words[0]) {
            case "keygen" -> keygen(Path.of(words[1]));
            case "apply" -> apply(Path.of(words[1]), Path.of(words[2]), words[3], Path.of(words[4]));
            case "sell" -> sell(Profile.load(words[1]), Path.of(words[2]));
            case "verify" -> verify(Profile.load(words[1]), Path.of(words[2]));
            case "vectors" -> System.exit(Vectors.judge(Path.of(words[1])) ? 0 : 1);
            default -> {
                System.err.println(USAGE);
                System.exit(2);
            }
        }
    }

    private static void keygen(Path keyFile) throws Exception {
        System.out.println(HexFormat.of().formatHex(Keys.rawP256(Keys.generate(keyFile).getPublic())));
    }

    private static void apply(Path draft, Path keyFile, String keyId, Path out) throws Exception {
        Files.writeString(out, Application.signed(Files.readString(draft), Keys.load(keyFile), keyId));
    }

    /** Lines of sales in, one line of JSON each out; every receipt is kept, as it came, before the line is written. */
    private static void sell(Profile profile, Path receipts) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (Till till = new Till(profile);
                Writer kept = Files.newBufferedWriter(receipts, StandardOpenOption.CREATE, StandardOpenOption.APPEND)) {
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                System.out.println(GSON.toJson(sellOne(till, line.split(" "), kept)));
                System.out.flush();
            }
        }
    }

    private static JsonObject sellOne(Till till, String[] words, Writer kept) throws IOException, BadReceipt {
        JsonObject said = new JsonObject();
        said.addProperty("key", words[1]);
        try {
            long[] numbers = Arrays.copyOf(Arrays.stream(words).skip(3).mapToLong(Long::parseLong).toArray(), 2);
            Booked booked = CALLS.get(words[0]).on(till, words[1], words[2], numbers);
            keep(kept, booked.signed());
            said.addProperty("outcome", "booked");
            said.addProperty("points", moved(booked.receipt()));
            said.addProperty("balance_points", booked.receipt().getBalancePoints());
            said.addProperty("receipt_key", booked.signed().getKeyId());
            said.addProperty("replayed", booked.replayed());
            said.addProperty("attempts", booked.attempts());
            if (booked.receipt().hasToPay()) {
                said.addProperty("to_pay", booked.receipt().getToPay().getMinorUnits());
                said.add("receipt_lines", GSON.toJsonTree(booked.lines()));
            }
        } catch (Refused refused) {
            said.addProperty("outcome", "refused");
            said.addProperty("reason", refused.failure.reason());
            if (refused.signed != null) {
                keep(kept, refused.signed);
            }
        } catch (NoAnswer unknown) {
            said.addProperty("outcome", "unknown");
        }
        return said;
    }

    /** By how much the balance changed: a checkout may redeem and issue, under one receipt. */
    private static long moved(Receipt receipt) {
        return receipt.getPoints() + receipt.getLegsList().stream().mapToLong(ReceiptLeg::getPoints).sum();
    }

    /** Verifies what was kept with the keys that the network lists now. */
    private static void verify(Profile profile, Path receipts) throws Exception {
        int count = 0;
        try (Till till = new Till(profile)) {
            for (String line : Files.readAllLines(receipts)) {
                till.verify(unkept(line));
                count++;
            }
        }
        System.out.println(count + " receipts verified");
    }

    /** The form that `tallystick audit --receipts` compares with the books. */
    private static void keep(Writer kept, SignedReceipt signed) throws IOException {
        JsonObject line = new JsonObject();
        line.addProperty("receipt", Base64.getEncoder().encodeToString(signed.getReceipt().toByteArray()));
        line.addProperty("signature", Base64.getEncoder().encodeToString(signed.getSignature().toByteArray()));
        line.addProperty("key_id", signed.getKeyId());
        kept.write(GSON.toJson(line) + "\n");
        kept.flush();
    }

    private static SignedReceipt unkept(String line) {
        JsonObject kept = GSON.fromJson(line, JsonObject.class);
        return SignedReceipt.newBuilder()
                .setReceipt(ByteString.copyFrom(Base64.getDecoder().decode(kept.get("receipt").getAsString())))
                .setSignature(ByteString.copyFrom(Base64.getDecoder().decode(kept.get("signature").getAsString())))
                .setKeyId(kept.get("key_id").getAsString())
                .build();
    }
}
