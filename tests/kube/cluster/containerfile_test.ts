import assert from "node:assert/strict";
import { parseStage } from "./containerfile.ts";

const text = `ARG DEBIAN=debian
FROM deno AS build
RUN true

FROM \${DEBIAN} AS one
RUN apt-get update \\
  && apt-get install -y --no-install-recommends frr procps \\
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/a /out/b /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/a", "agent"]
CMD ["--now"]
`;

Deno.test("a stage tells its packages, programs and command", () => {
  assert.deepEqual(parseStage(text, "one"), {
    packages: ["frr", "procps"],
    programs: ["a", "b"],
    entrypoint: ["/usr/local/bin/a", "agent"],
    command: ["--now"],
  });
});

Deno.test("a stage that is absent, or lacks an instruction, is told", () => {
  assert.throws(() => parseStage(text, "two"), /Expected a stage "two", found none/);
  assert.throws(() => parseStage(text, "build"), /Expected programs in the stage "build"/);
});
