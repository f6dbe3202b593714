// A till: signs each call, sends it again where that is safe, and believes no answer without a receipt that verifies.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Client, credentials, Metadata, status as Code } from "@grpc/grpc-js";
import { failureOf, mayRepeat } from "./failure.js";
import { types } from "./protos.js";
import { BadReceipt, ReceiptKeys } from "./receipts.js";
import { loadKey, newNonce, requestLines, signLines } from "./signing.js";

const ATTEMPTS_MAX = 8; // with the delays below some 10 s: a till has a queue of people
const FIRST_DELAY_MS = 100;
const DELAY_MS_MAX = 5_000;
const DEADLINE_MS = 5_000; // a call that may book something must have one

// The till repeats calls itself, signed anew; a gateway that is back is found soon.
const CHANNEL_OPTIONS = { "grpc.enable_retries": 0, "grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 1_000 };

/** Not booked. With a receipt the refusal is final and proven; without one the request must be mended. */
export class Refused extends Error {
  constructor(failure, signed, receipt) {
    super(`${Code[failure.code]} ${failure.reason}`);
    Object.assign(this, { reason: failure.reason, signed, receipt });
  }
}

/** Not known whether it was booked: keep the command, and send it again with the same key. */
export class NoAnswer extends Error {}

export class Till {
  #profile;
  #key;
  #client;
  #receiptKeys;
  #clockOffsetMs;

  constructor(profile) {
    this.#profile = profile;
    this.#key = loadKey(profile.key_file);
    this.#clockOffsetMs = profile.clock_offset_ms ?? 0;
    this.#client = new Client(profile.target, credentials.createSsl(readFileSync(profile.ca_file)), CHANNEL_OPTIONS);
  }

  // The calls: each resolves to { receipt, signed, lines, replayed, attempts }. A further one is as short.

  enrol(key, card) {
    return this.#book(types.MemberService.EnrolMember, { idempotency_key: key, card_number: card });
  }

  issue(key, card, cents) {
    return this.#book(types.PointsService.IssuePoints, { idempotency_key: key, member: { card_number: card }, eligible: euro(cents) });
  }

  redeem(key, card, points) {
    return this.#book(types.PointsService.RedeemPoints, { idempotency_key: key, member: { card_number: card }, points });
  }

  /** A basket; points pay as much of it as they are worth. */
  checkout(key, card, cents, points) {
    const payment = points ? { points } : {};
    return this.#book(types.TillService.Checkout, { idempotency_key: key, member: { card_number: card }, total: euro(cents), ...payment });
  }

  /** Goods of a checkout came back; the receipt says what of the money goes with them. */
  refund(key, checkoutKey, cents) {
    return this.#book(types.TillService.Refund, { idempotency_key: key, original_idempotency_key: checkoutKey, amount: euro(cents) });
  }

  /** The content of a receipt that holds; asks GetNetwork where its key is new to us. */
  async verify(signed) {
    if (!this.#receiptKeys?.has(signed.key_id)) {
      const { response } = await this.#send(types.NetworkService.GetNetwork, {}, () => new Metadata()); // the only unsigned call
      this.#receiptKeys = new ReceiptKeys(this.#profile.audience, response.receipt_keys);
    }
    return this.#receiptKeys.verify(signed);
  }

  close() {
    this.#client.close();
  }

  async #book(method, message) {
    const { response, attempts } = await this.#send(method, message);
    const { receipt: signed, replayed } = response.answer;
    const receipt = await this.#verifyFor(message.idempotency_key, signed);
    return { receipt, signed, lines: response.receipt_lines ?? [], replayed, attempts };
  }

  /** Sends until there is an answer: the same message with the same idempotency key, each time signed anew. */
  async #send(method, message, metadataFor = (path, body) => this.#signed(path, body)) {
    const body = method.requestSerialize(message); // once: these bytes are signed, and these are sent
    let isClockCorrected = false;
    for (let attempt = 1; ; attempt++) {
      try {
        return { response: await this.#call(method, body, metadataFor(method.path, body)), attempts: attempt };
      } catch (error) {
        if (error.code === undefined) throw error; // no answer of gRPC's
        const failure = failureOf(error);
        if (failure.reason === "SIGNATURE_TIME_OUT_OF_WINDOW" && !isClockCorrected) {
          isClockCorrected = true;
          this.#clockOffsetMs = failure.serverTimeMs - Date.now();
        } else if (!mayRepeat(failure)) {
          const signed = failure.answer?.receipt;
          throw new Refused(failure, signed, signed && (await this.#verifyFor(message.idempotency_key, signed)));
        } else if (attempt === ATTEMPTS_MAX) {
          throw new NoAnswer(`${Code[failure.code]} after ${attempt} attempts`);
        } else {
          await pause(delayMs(attempt, failure.retryAfterMs));
        }
      }
    }
  }

  #signed(path, body) {
    const { audience, key_id } = this.#profile;
    const created = String(Date.now() + this.#clockOffsetMs);
    const nonce = newNonce();
    const metadata = new Metadata();
    metadata.set("tally-key-id", key_id);
    metadata.set("tally-created", created);
    metadata.set("tally-nonce", nonce);
    metadata.set("tally-sig-bin", signLines(this.#key, requestLines(audience, path, key_id, created, nonce, body)));
    return metadata;
  }

  /** Bytes out: gRPC does not serialize the message a second time. */
  #call(method, body, metadata) {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + DEADLINE_MS };
      const done = (error, response) => (error ? reject(error) : resolve(response));
      this.#client.makeUnaryRequest(method.path, (bytes) => bytes, method.responseDeserialize, body, metadata, options, done);
    });
  }

  async #verifyFor(key, signed) {
    const receipt = await this.verify(signed);
    const partnerId = this.#profile.key_id.split("/")[0];
    if (receipt.partner_id !== partnerId || receipt.idempotency_key !== key) throw new BadReceipt("it answers another request");
    return receipt;
  }
}

/** Doubling up to a limit, less a random part up to a half, and never sooner than the gateway asked. */
function delayMs(attempt, retryAfterMs = 0) {
  const delay = Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), DELAY_MS_MAX);
  return Math.max(retryAfterMs, delay * (1 - Math.random() / 2));
}

function euro(cents) {
  return { unit: "EUR", minor_units: cents };
}
