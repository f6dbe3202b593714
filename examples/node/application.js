// The application by which a partner joins, from a draft in JSON: the file that `tallystick partners onboard` reads, with the
// proof that we hold the key. docs/protocol.md, section 5, has the document that is signed.
import { P256, proofLines, rawPublicKey, signLines } from "./signing.js";

const PRICES = ["issue_price", "face_value", "reimbursement_rate"];

/** The signed application in TOML. */
export function signedApplication(draft, privateKey, keyId) {
  const publicKey = rawPublicKey(privateKey);
  const key = { key_id: keyId, algorithm: P256, public_key: publicKey.toString("hex"), scopes: ["office", "till"] };
  const facts = { ...draft, key };
  const lines = proofLines(facts.audience, keyId, P256, publicKey, documentOf(facts));
  return toml({ ...facts, proof: { signature: signLines(privateKey, lines).toString("hex") } });
}

/** Canonical JSON: sorted keys, no spaces, ASCII. The rate card says whose it is, and has its prices in millionths. */
function documentOf(facts) {
  const { effective_from, issue_rates } = facts.rate_card;
  const card = { effective_from, issue_rates, partner_id: facts.partner_id, currency: facts.currency, version: 1 };
  for (const price of PRICES) card[`${price}_micros`] = micros(facts.rate_card[price]);
  const document = { vat_id: "", ...facts, form: "TS1-APPLICATION", rate_card: card };
  const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return Buffer.from(JSON.stringify(sorted(document)).replace(/[\u007f-\uffff]/g, escape), "ascii");
}

/** "1.10" as 1100000, without a detour over fractions that a computer cannot hold. */
function micros(price) {
  const [whole, decimals = ""] = price.split(".");
  return Number(whole + decimals.padEnd(6, "0"));
}

function sorted(value) {
  if (Array.isArray(value) || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

/** Values first, then tables. A JSON string or list is one of TOML as well. */
function toml(table, prefix = "") {
  const isTable = ([, value]) => typeof value === "object" && !Array.isArray(value);
  const named = (name) => (/^[\w-]+$/.test(name) ? name : JSON.stringify(name));
  const entries = Object.entries(table);
  const values = entries.filter((entry) => !isTable(entry)).map(([name, value]) => `${named(name)} = ${JSON.stringify(value)}\n`);
  const tables = entries.filter(isTable).map(([name, inner]) => `\n[${prefix}${name}]\n${toml(inner, `${prefix}${name}.`)}`);
  return [...values, ...tables].join("");
}
