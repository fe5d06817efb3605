/** Kubeconfig files for tests. */

/** What goes into a kubeconfig. */
export interface KubeConfigContent {
  /** Address of the server. */
  readonly server: string;
  /** Certificate authority in PEM. */
  readonly authority: string;
  /** Bearer token. */
  readonly token?: string;
  /** File with the bearer token. */
  readonly tokenFile?: string;
}

/** The text of a kubeconfig (JSON is YAML). */
export function kubeconfigText(content: KubeConfigContent): string {
  const { token, tokenFile } = content;
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    clusters: [{
      name: "test",
      cluster: {
        server: content.server,
        "certificate-authority-data": btoa(content.authority),
      },
    }],
    users: [{ name: "test", user: { token, tokenFile } }],
  });
}

/** A kubeconfig in a folder of its own, removed with it. */
export class KubeConfigFile implements Disposable {
  /** The file. */
  readonly path: string;
  readonly #directory: string;
  #removed = false;

  /**
   * Writes it.
   *
   * @param text Content of the file
   */
  constructor(text: string) {
    this.#directory = Deno.makeTempDirSync({ prefix: "pr2t-" });
    this.path = `${this.#directory}/kubeconfig`;
    Deno.writeTextFileSync(this.path, text, { mode: 0o600 });
  }

  /**
   * Writes it anew.
   *
   * @param text Content of the file
   */
  replace(text: string): void {
    Deno.writeTextFileSync(this.path, text);
  }

  /** Removes it. */
  [Symbol.dispose](): void {
    if (this.#removed) return;
    this.#removed = true;
    Deno.removeSync(this.#directory, { recursive: true });
  }
}
