// The network's receipt keys, as GetNetwork lists them; a receipt is judged by when it was booked, also after a rotation.
import { types } from "./protos.js";
import { ED25519, publicKeyOf, receiptLines, verifyLines } from "./signing.js";

/** A receipt that proves nothing: hand out no goods on it. */
export class BadReceipt extends Error {}

export class ReceiptKeys {
  #audience;
  #lives;

  constructor(audience, listed) {
    this.#audience = audience;
    this.#lives = new Map(listed.map((key) => [key.key_id, { ...key, publicKey: publicKeyOf(ED25519, key.public_key) }]));
  }

  /** If not, ask GetNetwork once more: the network may have a new key. */
  has(keyId) {
    return this.#lives.has(keyId);
  }

  /** The content of a receipt that holds. Whoever knows what he asked for compares partner and idempotency key, too. */
  verify(signed) {
    const life = this.#lives.get(signed.key_id);
    if (!life) throw new BadReceipt("KEY_UNKNOWN");
    const lines = receiptLines(this.#audience, signed.key_id, signed.receipt); // as it came, never serialized again
    if (!verifyLines(life.publicKey, lines, signed.signature)) throw new BadReceipt("SIGNATURE_INVALID");
    const receipt = types.Receipt.deserialize(signed.receipt);
    const booked = receipt.booked_at_ms;
    if (booked < life.valid_from_ms || (life.valid_until_ms && booked > life.valid_until_ms)) {
      throw new BadReceipt("KEY_NOT_IN_USE_WHEN_BOOKED");
    }
    if (receipt.audience !== this.#audience) throw new BadReceipt("AUDIENCE_DIFFERS");
    return receipt;
  }
}
