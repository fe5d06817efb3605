/** A kind of link that this project has no table for, such as `dummy` or `ipvlan`. */
export interface GenericKind {
  /** Discriminator. */
  readonly type: "generic";
  /** The kernel's name of the kind. */
  readonly kind: string;
  /** Its data (IFLA_INFO_DATA), as attributes in bytes. */
  readonly data?: Uint8Array<ArrayBuffer> | undefined;
}
