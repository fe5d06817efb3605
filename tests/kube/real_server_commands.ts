/** The command lines of etcd and kube-apiserver. Pure. */

/** Where a server keeps its files and listens. */
export interface ServerPlace {
  /** Directory with the credentials of daemon/apiserver, `tokens.csv` and `service-account.{key,pub}`. */
  readonly directory: string;
  /** Its address. */
  readonly host: string;
}

/** Addresses of the services. */
export const serviceCidr = "10.96.0.0/24";

/** The first of them: the service `kubernetes`, by which pods reach the API. */
export const apiServiceAddress = "10.96.0.1";

/** etcd, one member, without TLS: it listens on loopback or in a lab's namespace alone. */
export function etcdCommand(executable: string, { directory, host }: ServerPlace): string[] {
  const client = `http://${host}:2379`;
  const peer = `http://${host}:2380`;
  return [
    executable,
    "--name=only",
    `--data-dir=${directory}/etcd`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=only=${peer}`,
    // What tells a watch that asks for a fresh beginning how fresh it is.
    "--experimental-watch-progress-notify-interval=1s",
    "--logger=zap",
    "--log-level=warn",
  ];
}

/**
 * kube-apiserver for the bearers of the tokens, and for service accounts with RBAC.
 *
 * @param cluster Whether controllers, a scheduler and kubelets are at work: they make service accounts, and need an endpoint
 */
export function apiServerCommand(
  executable: string,
  { directory, host }: ServerPlace,
  cluster: boolean,
): string[] {
  const admission = cluster
    ? [
      "--enable-admission-plugins=NodeRestriction",
      // Nothing resolves the nodes' names.
      "--kubelet-preferred-address-types=InternalIP",
    ]
    // It would publish an address of loopback, which is refused. No controller makes the service accounts that pods would
    // have to have.
    : ["--endpoint-reconciler-type=none", "--disable-admission-plugins=ServiceAccount"];
  return [
    executable,
    `--etcd-servers=http://${host}:2379`,
    `--bind-address=${host}`,
    "--secure-port=6443",
    `--advertise-address=${host}`,
    `--cert-dir=${directory}/generated`,
    `--tls-cert-file=${directory}/server.crt`,
    `--tls-private-key-file=${directory}/server.key`,
    `--token-auth-file=${directory}/tokens.csv`,
    "--authorization-mode=Node,RBAC",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${directory}/service-account.pub`,
    `--service-account-signing-key-file=${directory}/service-account.key`,
    `--service-cluster-ip-range=${serviceCidr}`,
    ...admission,
    "--allow-privileged=true",
  ];
}
