import { errno, libc } from "./libc.ts";
import { SysError } from "./errno.ts";

/** A file descriptor that belongs to this object, which closes it exactly once. */
export class OwnedFd implements Disposable {
  #fd: number;

  /**
   * Takes ownership of a descriptor.
   *
   * @param fd An open descriptor that nobody else will close
   * @throws {TypeError} If it is negative
   */
  constructor(fd: number) {
    if (!Number.isInteger(fd) || fd < 0) {
      throw new TypeError(`Expected an open file descriptor, found "${fd}"`);
    }
    this.#fd = fd;
  }

  /**
   * The descriptor's number, for as long as this object owns it.
   *
   * @throws {TypeError} If it was closed or released
   */
  get fd(): number {
    if (this.#fd < 0) {
      throw new TypeError(
        "Expected an open file descriptor, found one that was closed or released",
      );
    }
    return this.#fd;
  }

  /** Whether the descriptor was closed or released. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Gives the descriptor away: the caller closes it from now on.
   *
   * @throws {TypeError} If it was closed or released before
   */
  release(): number {
    const fd = this.fd;
    this.#fd = -1;
    return fd;
  }

  /** Closes the descriptor; does nothing the second time. */
  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    // Linux frees the number even when close reports an error: trying again could close somebody else's.
    libc.close(fd);
  }
}

/** The result of a system call that gives a non-negative number, or throws what `errno` says. */
export function checked(result: number, syscall: string, doing: string): number {
  if (result >= 0) return result;
  throw new SysError(syscall, errno(), doing);
}
