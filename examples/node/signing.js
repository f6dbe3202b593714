// The lines that are signed, and the two algorithms: docs/protocol.md, sections 1, 4 and 5. Nothing but Node itself.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

export const P256 = "ecdsa-p256-sha256";
export const ED25519 = "ed25519";

const SIGNATURE_BYTES = 64;

// What stands before the bare key in a SubjectPublicKeyInfo, and how long that is.
const PREFIX = {
  [P256]: Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex"),
  [ED25519]: Buffer.from("302a300506032b6570032100", "hex"),
};
const RAW_BYTES = { [P256]: 65, [ED25519]: 32 };

const ED_P = 2n ** 255n - 19n;
const ED_D = mod(-121665n * power(121666n, ED_P - 2n));
const ORDER_8 = 0x5fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const SMALL_ORDER = new Set([0n, 1n, ED_P - 1n, ORDER_8, ED_P - ORDER_8]);

/** The eight lines of a request; `body` is the serialized message, exactly as it is sent. */
export function requestLines(audience, method, keyId, created, nonce, body) {
  return lines("TS1-REQUEST", audience, method, keyId, created, nonce, sha256(body), body.length);
}

/** The four lines of a receipt, whose bytes are taken as they came. */
export function receiptLines(audience, keyId, receipt) {
  return lines("TS1-RECEIPT", audience, keyId, sha256(receipt));
}

/** The six lines by which the holder of a new key proves it; `document` is empty for a further key. */
export function proofLines(audience, keyId, algorithm, publicKey, document) {
  return lines("TS1-PROOF", audience, keyId, algorithm, sha256(publicKey), sha256(document));
}

/** 16 random bytes as base64url without padding. */
export function newNonce() {
  return randomBytes(16).toString("base64url");
}

/** 64 bytes: R and S, or r and s. */
export function signLines(key, signed) {
  return sign(digestFor(key), signed, { key, dsaEncoding: "ieee-p1363" }); // the default, "der", is refused
}

/** Whether the signature holds. Libraries take an R of small order, which needs no secret; we do not. */
export function verifyLines(key, signed, signature) {
  if (signature.length !== SIGNATURE_BYTES || (key.asymmetricKeyType === ED25519 && hasSmallOrder(signature))) return false;
  return verify(digestFor(key), signed, { key, dsaEncoding: "ieee-p1363" }, signature);
}

/** Makes a P-256 key in a new file that only its owner can read, and answers its public half, 65 bytes. */
export function makeKey(file) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  writeFileSync(file, pem, { mode: 0o600, flag: "wx" }); // fails if it exists: a key is never overwritten
  return rawPublicKey(privateKey);
}

/** The private key of such a file. */
export function loadKey(file) {
  return createPrivateKey(readFileSync(file));
}

/** The 65 bytes of a P-256 key: 04, x, y. They end its SubjectPublicKeyInfo. */
export function rawPublicKey(privateKey) {
  return createPublicKey(privateKey).export({ type: "spki", format: "der" }).subarray(-RAW_BYTES[P256]);
}

/** A public key from its bare bytes. Refuses what libraries load although anybody could sign for it, or nobody. */
export function publicKeyOf(algorithm, raw) {
  const isGood = raw.length === RAW_BYTES[algorithm] && (algorithm === P256 ? raw[0] === 4 : isGoodEd25519(raw));
  if (!isGood) throw new Error(`malformed or weak ${algorithm} key`);
  // OpenSSL looks by itself whether a point of P-256 is on the curve.
  return createPublicKey({ key: Buffer.concat([PREFIX[algorithm], raw]), format: "der", type: "spki" });
}

function lines(...each) {
  return Buffer.from(`${each.join("\n")}\n`, "ascii"); // LF on every machine, and after the last line, too
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function digestFor(key) {
  return key.asymmetricKeyType === "ec" ? "sha256" : null;
}

function hasSmallOrder(encoded) {
  return SMALL_ORDER.has(mod(edwardsY(encoded)));
}

function isGoodEd25519(raw) {
  const y = edwardsY(raw);
  if (y >= ED_P || hasSmallOrder(raw)) return false;
  // On the curve if x² = (y² - 1) / (d·y² + 1) has a root.
  return power(mod((y * y - 1n) * (ED_D * y * y + 1n)), (ED_P - 1n) / 2n) === 1n;
}

function edwardsY(encoded) {
  const bigEndian = Buffer.from(encoded.subarray(0, 32)).reverse();
  bigEndian[0] &= 0x7f; // the sign of x
  return BigInt(`0x${bigEndian.toString("hex")}`);
}

function mod(number) {
  return ((number % ED_P) + ED_P) % ED_P;
}

function power(base, exponent) {
  let result = 1n;
  for (let square = base, rest = exponent; rest > 0n; rest >>= 1n, square = mod(square * square)) {
    if (rest & 1n) result = mod(result * square);
  }
  return result;
}
