/** Counts requests as a cluster's API server does (Kubernetes, metric `apiserver_request_total`). */
import { findServedKind, parseResourcePath } from "./request_path.ts";
import { servedKinds } from "./served_kinds.ts";

/** Counts requests on resources by verb, resource and status. */
export interface RequestCounter {
  /** Counts a request that is being answered; one that is for no resource is left out. A watch counts when it begins. */
  count(request: Request, status: number): void;
  /** The text for Prometheus (exposition format 0.0.4). */
  render(): string;
}

const metric = "apiserver_request_total";

/** Makes a counter that begins at nothing. */
export function createRequestCounter(): RequestCounter {
  const counts = new Map<string, number>();
  return {
    count(request, status) {
      const labels = labelsOf(request, status);
      if (labels !== undefined) counts.set(labels, (counts.get(labels) ?? 0) + 1);
    },
    render() {
      const lines = [...counts].toSorted().map(([labels, count]) =>
        `${metric}{${labels}} ${count}`
      );
      return [
        `# HELP ${metric} Requests on resources, by verb, resource and HTTP status`,
        `# TYPE ${metric} counter`,
        ...lines,
        "",
      ].join("\n");
    },
  };
}

/** Only what is served, and only known methods: nobody can have labels of his own kept here. */
function labelsOf(request: Request, status: number): string | undefined {
  const url = new URL(request.url);
  const path = parseResourcePath(url.pathname);
  const served = path === undefined ? undefined : findServedKind(servedKinds, path);
  const verb = verbOf(request.method, path?.name === "", url.searchParams.get("watch"));
  if (path === undefined || served === undefined || verb === undefined) return undefined;
  const { group, plural } = served.kind;
  const subresource = path.subresource === "status" ? "status" : "";
  return `code="${status}",group="${group}",resource="${plural}",subresource="${subresource}",verb="${verb}"`;
}

function verbOf(method: string, collection: boolean, watch: string | null): string | undefined {
  switch (method) {
    case "GET":
      if (!collection) return "GET";
      return watch === "true" || watch === "1" ? "WATCH" : "LIST";
    case "DELETE":
      return collection ? "DELETECOLLECTION" : "DELETE";
    case "POST":
    case "PUT":
    case "PATCH":
      return method;
    default:
      return undefined;
  }
}
