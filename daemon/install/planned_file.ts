import type { FileWish } from "./put_file.ts";

/** A file of text as a plan wants it. */
export interface PlannedFile extends Pick<FileWish, "path" | "mode" | "owner"> {
  /** Its whole text. */
  readonly content: string;
}
