// The services and messages of protos/tallystick/v1, and what gRPC errors carry.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadSync } from "@grpc/proto-loader";

const OURS = fileURLToPath(new URL(".", import.meta.url));
const PROTOS = fileURLToPath(new URL("../../protos", import.meta.url)); // copy that folder, or take it as a submodule
const FILES = readdirSync(join(PROTOS, "tallystick/v1")).filter((name) => name.endsWith(".proto")).map((name) => `tallystick/v1/${name}`);

// Points and times are far below 2^53, so that numbers hold them exactly.
const OPTIONS = { includeDirs: [PROTOS, OURS], keepCase: true, longs: Number, enums: String, defaults: true };
const loaded = loadSync([...FILES, "google_rpc.proto"], OPTIONS);

const inPackage = (prefix) => {
  const found = Object.entries(loaded).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(found.map(([name, type]) => [name.slice(prefix.length), type]));
};

/** `types.Receipt.deserialize(bytes)`, `types.PointsService.IssuePoints`, … */
export const types = inPackage("tallystick.v1.");

/** Status, ErrorInfo, RetryInfo. */
export const rpc = inPackage("google.rpc.");
