/**
 * Becomes another program under a seccomp profile of the project: `enter_profile.ts PROFILE COMMAND...`, with the profile's file name.
 * The command keeps this process's id, descriptors 0 to 2 and environment.
 */
import { enterProfile, profileNamed } from "./seccomp_library.ts";

const SIGPIPE = 13;
const SIG_DFL = 0n;

const libc = Deno.dlopen("libc.so.6", {
  signal: { parameters: ["i32", "usize"], result: "usize" },
  execvp: { parameters: ["buffer", "buffer"], result: "i32" },
}).symbols;

const [profile = "", ...command] = Deno.args;
const words = command.map((word) => new TextEncoder().encode(`${word}\0`));
const addresses = words.map((word) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(word)));
const argv = new BigUint64Array([...addresses, 0n]);
const [program] = words;
if (program === undefined) throw new Error("Expected a profile's name and a command");
// The runtime ignores it, and what is ignored stays so in the next program.
libc.signal(SIGPIPE, SIG_DFL);
enterProfile(profileNamed(profile));
libc.execvp(program, argv);
throw new Error(`"${command.join(" ")}" could not be executed`);
