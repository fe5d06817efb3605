/**
 * Inputs at the limits of what is taken, of the shapes that make a careless reader take the square of their size or call itself for each
 * level. Each ends in milliseconds, or not within this life.
 */
import { strict as assert } from "node:assert";
import { CniError } from "../../lib/cni/errors.ts";
import { decode } from "../../lib/netlink/codec.ts";
import { bridgePortAttributes } from "../../lib/netlink/rtnl/bridge_port.ts";
import { ApiError } from "../../daemon/apiserver/api_error.ts";
import { applyJsonPatch, PatchError } from "../../daemon/apiserver/json_patch.ts";
import { decodeProtobuf } from "../../daemon/apiserver/protobuf_body.ts";
import { maxBodyBytes, readBody } from "../../daemon/apiserver/request_body.ts";
import { parseFieldSelector, parseLabelSelector } from "../../daemon/apiserver/selectors.ts";
import { cniConfigProblem } from "../../daemon/controllers/cni_config_choice.ts";
import { cniConfigSpec } from "../../daemon/resources/cni_config.ts";
import { maxBodyBytes as maxCniBytes } from "../../lib/ipc/messages.ts";
import { runPlugin } from "../../plugin.ts";

function nested(levels: number): string {
  return "[".repeat(levels) + "]".repeat(levels);
}

function bodyOf(text: string): Request {
  return new Request("http://localhost", { method: "POST", body: text });
}

/** What is tried, by a sentence about it. */
export const largeInputs: Readonly<Record<string, () => void | Promise<void>>> = {
  "a netlink message with an attribute a quarter of a million times": () => {
    const bytes = new Uint8Array(1 << 20);
    for (let at = 0; at < bytes.length; at += 4) bytes.set([4, 0, 200, 0], at);
    assert.equal(Object.keys(decode(bridgePortAttributes, bytes)).length, bytes.length / 4);
  },
  "a protobuf body with a field a million times": () => {
    const bytes = new Uint8Array(maxBodyBytes);
    bytes.set([0x6b, 0x38, 0x73, 0]);
    for (let at = 4; at < bytes.length; at += 2) bytes[at] = 0x0a;
    assert.throws(() => decodeProtobuf(bytes), ApiError);
  },
  "a label selector of a million terms": () => {
    const selected = parseLabelSelector(`${"a,".repeat(1_000_000)}a`);
    assert.ok(selected !== undefined);
  },
  "a field selector of a million spaces": () => {
    assert.throws(() => parseFieldSelector(`a${" ".repeat(1_000_000)}b`, []), ApiError);
  },
  "YAML with a hundred thousand keys": async () => {
    const keys = Array.from({ length: 100_000 }, (_, at) => `k${at}: 1`);
    const body = await readBody(bodyOf(keys.join("\n")), "application/yaml");
    assert.equal(Object.keys(Object(body)).length, keys.length);
  },
  "a patch that copies a value into itself sixty times": () => {
    const patch = Array.from({ length: 60 }, (_, at) => ({
      op: "copy",
      from: "/a",
      path: `/a/x${at}`,
    }));
    assert.throws(() => applyJsonPatch({ a: {} }, patch), PatchError);
  },
  "a body of the embedded API that is nested a million levels deep": async () => {
    await assert.rejects(readBody(bodyOf(nested(1_000_000)), "application/json"), ApiError);
    await assert.rejects(readBody(bodyOf(nested(1_000_000)), "application/yaml"), ApiError);
  },
  "a CNIConfig whose plugins are nested nine thousand levels deep, as an API server takes": () => {
    const spec: unknown = JSON.parse(
      `{"fileName":"a.conflist","enabled":true,"priority":1,"plugins":[{"type":"a","x":${
        nested(9_000)
      }}]}`,
    );
    assert.equal(cniConfigProblem(cniConfigSpec.parse(spec), ["a"])?.reason, "NestedTooDeep");
  },
  "a network configuration that is nested half a million levels deep": async () => {
    const text = `{"cniVersion":"1.1.0","name":"a","x":${nested(maxCniBytes / 2 - 100)}}`;
    const { stdout } = await runPlugin({ CNI_COMMAND: "STATUS" }, () => text, { pid: 1 });
    assert.equal(JSON.parse(stdout).code, 6);
  },
  "a network configuration whose version is a megabyte long": async () => {
    const text = JSON.stringify({ cniVersion: ["x".repeat(maxCniBytes - 100)], name: "a" });
    const { stdout } = await runPlugin({ CNI_COMMAND: "STATUS" }, () => text, { pid: 1 });
    assert.ok(stdout.length < 10_000, `${stdout.length} characters`);
    assert.ok(new CniError("Internal", "x", { details: text }).details?.length === 4_097);
  },
};
