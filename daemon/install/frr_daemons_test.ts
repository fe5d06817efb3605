import assert from "node:assert/strict";
import fc from "fast-check";
import { editDaemons, joinChanges, restoreDaemons } from "./frr_daemons.ts";
import { planFrr, planFrrRestoration } from "./frr_plan.ts";
import { withMark } from "../../frr/written_file.ts";

const debian = `# a comment with bgpd=no in it
bgpd=no
bfdd=no
ospfd=no
vtysh_enable=yes
zebra_options="  -A 127.0.0.1 -s 90000000"
bgpd_options="   -A 127.0.0.1"
`;

Deno.test("a node with VRF links needs bgpd and bfdd, and routes that outlive zebra; all other lines stay as they are", () => {
  const { text, changes } = editDaemons(debian, "device");
  assert.equal(
    text,
    debian.replace("\nbgpd=no\nbfdd=no", "\nbgpd=yes\nbfdd=yes")
      .replace("-s 90000000", "-s 90000000 -K 120"),
  );
  assert.deepEqual(changes.map(({ key }) => key), ["bgpd", "bfdd", "zebra_options"]);
  assert.deepEqual(editDaemons(text, "device"), { text, changes: [] });
});

Deno.test("the project's own file of daemons needs nothing but the word on namespaces", async () => {
  const own = await Deno.readTextFile(new URL("../../frr/daemons", import.meta.url));
  assert.deepEqual(editDaemons(own, "device").changes, []);
  assert.deepEqual(editDaemons(own, "netns").changes.map(({ after }) => after), [
    '"  -A 127.0.0.1 -s 90000000 -K 120 --vrfwnetns"',
  ]);
});

function zebraOption(line: string, backend: "device" | "netns"): string | undefined {
  return /^zebra_options=(.*)$/m.exec(editDaemons(`${line}\n`, backend).text)?.[1];
}

Deno.test("where VRFs are namespaces zebra is told so, once, whatever the quotes and the spelling", () => {
  const option = (line: string) => zebraOption(line, "netns");
  assert.equal(option('zebra_options="-A ::1"'), '"-A ::1 --vrfwnetns -K 120"');
  assert.equal(option("zebra_options='-A ::1 -K 9'"), '"-A ::1 -K 9 --vrfwnetns"');
  assert.equal(option("zebra_options=--foo"), '"--foo --vrfwnetns -K 120"');
  assert.equal(option('zebra_options=""'), '"--vrfwnetns -K 120"');
  assert.equal(option("# nothing"), '"--vrfwnetns -K 120"');
  for (const there of ['"-n -K 1"', '"-A ::1 -n -K9"', '" --vrfwnetns --graceful_restart=5"']) {
    assert.equal(option(`zebra_options=${there}`), there);
  }
  assert.equal(
    option('zebra_options="--vrfdefaultname -no -K 1"'),
    '"--vrfdefaultname -no -K 1 --vrfwnetns"',
  );
});

Deno.test("where VRFs are links zebra must not be told otherwise", () => {
  assert.equal(
    zebraOption('zebra_options="-A ::1 --vrfwnetns -K 9"', "device"),
    '"-A ::1 -K 9"',
  );
});

Deno.test("of several lines for a variable the last counts, as for the shell that sources the file", () => {
  const { text } = editDaemons("bgpd=yes\nbgpd=no\n", "device");
  assert.match(text, /^bgpd=yes\nbgpd=yes\n/);
});

Deno.test("what was changed is put back, line by line, but for what somebody has changed since", () => {
  const { text, changes } = editDaemons(debian, "netns");
  assert.deepEqual(restoreDaemons(text, changes), { text: debian, kept: [] });
  const edited = text.replace("-s 90000000", "-s 1").replace("ospfd=no", "ospfd=yes");
  const { text: restored, kept } = restoreDaemons(edited, changes);
  assert.deepEqual(kept, ["zebra_options"]);
  assert.match(restored, /^bgpd=no$/m);
  assert.match(restored, /^ospfd=yes$/m);
  assert.match(restored, /-s 1 --vrfwnetns/);
});

Deno.test("whatever the file says, editing it twice is editing it once, and restoring gives it back", () => {
  const line = fc.constantFrom(
    "bgpd=no",
    "bgpd=yes",
    "vtysh_enable=no",
    'zebra_options=" -A ::1"',
    "zebra_options='-n'",
    "# bgpd=yes",
    "ospfd=no",
    "",
  );
  const backend = fc.constantFrom("device" as const, "netns" as const);
  fc.assert(fc.property(fc.array(line), backend, (lines, backend) => {
    const text = `${lines.join("\n")}\n`;
    const first = editDaemons(text, backend);
    assert.deepEqual(editDaemons(first.text, backend).changes, []);
    assert.equal(restoreDaemons(first.text, first.changes).text, text);
  }));
});

Deno.test("over several installations, what is put back is what stood there before the first", () => {
  const first = editDaemons(debian, "netns");
  const second = editDaemons(first.text, "netns");
  const joined = joinChanges(first.text, first.changes, second.changes);
  assert.deepEqual(joined, first.changes);
  const third = editDaemons(first.text, "device");
  const back = joinChanges(first.text, joined, third.changes);
  assert.equal(restoreDaemons(third.text, back).text, debian);
  // Somebody turned it off in between: that is what is found.
  const edited = first.text.replace("bgpd=yes", "bgpd=no # mine");
  const fourth = editDaemons(edited, "netns");
  const after = joinChanges(edited, first.changes, fourth.changes);
  assert.match(restoreDaemons(fourth.text, after).text, /^bgpd=no # mine$/m);
});

const owner = { uid: 100, gid: 101 };
const file = (text: string) => ({ text, mode: 0o640, owner });

Deno.test("FRR's files keep owner and mode; without FRR there is nothing to do but to say so", () => {
  const facts = {
    daemons: file(debian),
    vtyshConf: file("no service integrated-vtysh-config\nusername x\n"),
    conf: file("hostname a\n"),
  };
  const { files, record } = planFrr(facts, "netns", {});
  assert.deepEqual(files.map(({ path, mode, owner }) => [path, mode, owner]), [
    ["/etc/frr/daemons", 0o640, owner],
    ["/etc/frr/vtysh.conf", 0o640, owner],
  ]);
  assert.equal(files[1]?.content, "service integrated-vtysh-config\nusername x\n");
  assert.equal(record?.conf, "hostname a\n");
  const missing = planFrr(undefined, "netns", {});
  assert.deepEqual([missing.files, missing.record], [[], undefined]);
  assert.match(missing.notes.join(), /FRR is not installed/);
});

Deno.test("a removal gives each of FRR's files back as it was, also after the agent has written frr.conf", () => {
  const before = { daemons: file(debian), vtyshConf: undefined, conf: file("hostname a\n") };
  const { files, record } = planFrr(before, "netns", { enabled: false });
  const text = (path: string) => file(files.find((each) => each.path === path)?.content ?? "");
  const now = {
    daemons: text("/etc/frr/daemons"),
    vtyshConf: text("/etc/frr/vtysh.conf"),
    conf: file(withMark("router bgp 65000\n")),
  };
  // A second installation finds the agent's file and must not take it for the operator's.
  const again = planFrr(now, "netns", record ?? {});
  assert.deepEqual(again, { files: [], record, notes: [] });
  const restored = planFrrRestoration(now, record);
  assert.deepEqual(restored.files.map(({ path, content }) => [path, content]), [
    ["/etc/frr/daemons", debian],
    ["/etc/frr/frr.conf", "hostname a\n"],
  ]);
  assert.deepEqual(restored.removals, ["/etc/frr/vtysh.conf"]);
  const byHand = planFrrRestoration(now, undefined);
  assert.deepEqual([byHand.files, byHand.removals], [[], ["/etc/frr/frr.conf"]]);
});
