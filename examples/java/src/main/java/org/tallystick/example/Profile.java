package org.tallystick.example;

import com.google.gson.Gson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where the gateway is, whom to sign for and with which key; a JSON file. Paths in it are relative to the working folder.
 * {@code clock_offset_ms} is what is known to be missing from this machine's clock; the till learns better by itself.
 */
record Profile(String target, String audience, String key_id, String key_file, String ca_file, long clock_offset_ms) {
    static Profile load(String file) throws IOException {
        return new Gson().fromJson(Files.readString(Path.of(file)), Profile.class);
    }

    String partnerId() {
        return key_id.split("/")[0];
    }
}
