import { CodedError } from "../../lib/errors.ts";

/**
 * The installation or its removal was refused or failed. Codes: `ProgramsMissing`, `ProgramBroken`, `DirectoryUnusable`,
 * `WriteFailed`.
 */
export class InstallError extends CodedError {}
