#!/usr/bin/env node
// The commands; README.md shows them in their order.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { signedApplication } from "./application.js";
import { loadKey, makeKey } from "./signing.js";
import { NoAnswer, Refused, Till } from "./till.js";
import { judgeAll } from "./vectors.js";

const USAGE =
  "keygen KEY | apply DRAFT KEY KEY_ID OUT | sell PROFILE RECEIPTS | verify PROFILE RECEIPTS | vectors FOLDER";

const CALLS = ["enrol", "issue", "redeem", "checkout", "refund"]; // of the till, as lines of input name them

const COMMANDS = {
  keygen(keyFile) {
    console.log(makeKey(keyFile).toString("hex"));
  },

  apply(draft, keyFile, keyId, out) {
    writeFileSync(out, signedApplication(JSON.parse(readFileSync(draft)), loadKey(keyFile), keyId));
  },

  /** Lines of sales in, one line of JSON each out; every receipt is kept, as it came, before the line is written. */
  async sell(profile, receipts) {
    const till = new Till(JSON.parse(readFileSync(profile)));
    for await (const line of createInterface({ input: process.stdin })) {
      console.log(JSON.stringify(await sellOne(till, line.split(" "), receipts)));
    }
    till.close();
  },

  /** Verifies what was kept with the keys that the network lists now. */
  async verify(profile, receipts) {
    const till = new Till(JSON.parse(readFileSync(profile)));
    const lines = readFileSync(receipts, "utf8").trimEnd().split("\n");
    for (const line of lines) await till.verify(unkept(line));
    till.close();
    console.log(`${lines.length} receipts verified`);
  },

  vectors(folder) {
    process.exitCode = judgeAll(folder) ? 0 : 1;
  },
};

async function sellOne(till, [call, key, name, ...numbers], receipts) {
  if (!CALLS.includes(call)) throw new Error(`no such call: ${call}`);
  try {
    const { receipt, signed, lines, replayed, attempts } = await till[call](key, name, ...numbers.map(Number));
    keep(receipts, signed);
    const { balance_points, to_pay } = receipt;
    const paper = to_pay ? { to_pay: to_pay.minor_units, receipt_lines: lines } : {};
    return { key, outcome: "booked", points: moved(receipt), balance_points, receipt_key: signed.key_id, replayed, attempts, ...paper };
  } catch (error) {
    if (error instanceof NoAnswer) return { key, outcome: "unknown" };
    if (!(error instanceof Refused)) throw error;
    if (error.signed) keep(receipts, error.signed);
    return { key, outcome: "refused", reason: error.reason };
  }
}

/** By how much the balance changed: a checkout may redeem and issue, under one receipt. */
function moved({ points, legs = [] }) {
  return legs.reduce((sum, leg) => sum + leg.points, points);
}

/** The form that `tallystick audit --receipts` compares with the books. */
function keep(file, { receipt, signature, key_id }) {
  const line = { receipt: receipt.toString("base64"), signature: signature.toString("base64"), key_id };
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

function unkept(line) {
  const { receipt, signature, key_id } = JSON.parse(line);
  return { receipt: Buffer.from(receipt, "base64"), signature: Buffer.from(signature, "base64"), key_id };
}

const [name, ...words] = process.argv.slice(2);
if (Object.hasOwn(COMMANDS, name ?? "")) {
  await COMMANDS[name](...words);
} else {
  console.error(USAGE);
  process.exitCode = 2;
}
