// Judges tests/vectors with the code of this till: what it signs, and what it believes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BadReceipt, ReceiptKeys } from "./receipts.js";
import { proofLines, publicKeyOf, receiptLines, requestLines, verifyLines } from "./signing.js";

const AGE_MS_MAX = 120_000;
const AHEAD_MS_MAX = 30_000;
const KEY_ID = /^[a-z0-9][a-z0-9-]{1,31}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,31}){2}$/;
const CREATED = /^[0-9]{13}$/;
const NONCE = /^[A-Za-z0-9_-]{21}[AQgw]$/;

/** One line a vector: file, name, verdict; the verdict is ours, not the file's. False if one differs from the file's. */
export function judgeAll(folder) {
  const read = (name) => JSON.parse(readFileSync(join(folder, name), "ascii"));
  const listed = read("receipts.json").receipt_keys.map((key) => ({ ...key, public_key: hex(key.public_key_hex) }));
  const keys = new ReceiptKeys("coalition.example:test", listed);
  const judges = { "requests.json": judgeRequest, "proofs.json": judgeProof, "receipts.json": (vector) => judgeReceipt(keys, vector) };
  let areAllRight = true;
  for (const [file, judge] of Object.entries(judges)) {
    for (const vector of read(file).vectors) {
      const verdict = judge(vector);
      console.log(file, vector.name, verdict);
      areAllRight &&= verdict === vector.expected;
    }
  }
  return areAllRight;
}

/** What a gateway answers that has the vector's key on record, at the vector's time. */
function judgeRequest(vector) {
  const { audience, method, key_id, created, nonce } = vector;
  if (!KEY_ID.test(key_id) || !CREATED.test(created) || !NONCE.test(nonce)) return "SIGNATURE_PARAM_MALFORMED";
  const verdict = judge(vector, requestLines(audience, method, key_id, created, nonce, hex(vector.body_hex)));
  const ageMs = vector.gateway_time_ms - Number(created);
  const isFresh = -AHEAD_MS_MAX <= ageMs && ageMs <= AGE_MS_MAX;
  return verdict === "valid" && !isFresh ? "SIGNATURE_TIME_OUT_OF_WINDOW" : verdict;
}

function judgeProof(vector) {
  const { audience, key_id, algorithm, public_key_hex, document_hex } = vector;
  return judge(vector, proofLines(audience, key_id, algorithm, hex(public_key_hex), hex(document_hex)));
}

function judgeReceipt(keys, vector) {
  const signed = { receipt: hex(vector.receipt_hex), signature: hex(vector.signature_hex), key_id: vector.key_id };
  if (differs(vector, receiptLines(vector.audience, vector.key_id, signed.receipt))) return "OTHER_LINES";
  try {
    keys.verify(signed);
    return "valid";
  } catch (error) {
    if (error instanceof BadReceipt) return error.message;
    throw error;
  }
}

function judge(vector, lines) {
  if (differs(vector, lines)) return "OTHER_LINES";
  let key;
  try {
    key = publicKeyOf(vector.algorithm, hex(vector.public_key_hex));
  } catch {
    return "PUBLIC_KEY_REFUSED";
  }
  return verifyLines(key, lines, hex(vector.signature_hex)) ? "valid" : "SIGNATURE_INVALID";
}

function differs(vector, lines) {
  return lines.toString("latin1") !== vector.signed_string;
}

function hex(text) {
  return Buffer.from(text, "hex");
}
