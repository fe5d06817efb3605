/** Tables for kubectl (meta.k8s.io/v1 Table). */
import type { PrinterColumn, ResourceKind } from "../resources/kind.ts";
import type { ApiObject } from "./api_object.ts";
import { type JsonObject, type JsonValue } from "./json.ts";
import { firstAtJsonPath } from "./json_path.ts";

/** How much of each object goes with its row: the query parameter `includeObject`. */
export type IncludeObject = "None" | "Metadata" | "Object";

/** A Table of some objects. */
export function renderTable(
  kind: ResourceKind,
  objects: readonly ApiObject[],
  metadata: JsonObject,
  include: IncludeObject,
  now: Date,
): JsonObject {
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata,
    columnDefinitions: [
      column("Name", "string", "name", "Name, unique within its namespace"),
      ...kind.printerColumns.map((own) => column(own.name, own.type, "", own.jsonPath)),
      column("Age", "string", "", "Time since the creation"),
    ],
    rows: objects.map((object) => ({
      cells: [
        object.metadata.name,
        ...kind.printerColumns.map((own) => cell(object, own, now)),
        age(object.metadata.creationTimestamp, now),
      ],
      ...(include === "None" ? {} : { object: rowObject(object, include) }),
    })),
  };
}

function column(name: string, type: string, format: string, description: string): JsonObject {
  return { name, type, format, description, priority: 0 };
}

function cell(object: ApiObject, column: PrinterColumn, now: Date): JsonValue {
  const value = firstAtJsonPath(object, column.jsonPath);
  if (value === undefined) return null;
  if (column.type === "date") return typeof value === "string" ? age(value, now) : null;
  if (column.type === "integer") return typeof value === "number" ? Math.trunc(value) : null;
  if (column.type === "boolean") return typeof value === "boolean" ? value : null;
  return typeof value === "string" ? value : JSON.stringify(value);
}

function rowObject(object: ApiObject, include: "Metadata" | "Object"): JsonObject {
  return include === "Object" ? object : {
    kind: "PartialObjectMetadata",
    apiVersion: "meta.k8s.io/v1",
    metadata: object.metadata,
  };
}

/** Time since, as kubectl writes ages: `45s`, `3m20s`, `5h`, `12d` (apimachinery, `duration.HumanDuration`). */
export function age(since: string, now: Date): string {
  const seconds = Math.floor((now.getTime() - Date.parse(since)) / 1000);
  if (Number.isNaN(seconds)) return "<unknown>";
  if (seconds < 0) return "0s";
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  const years = Math.floor(days / 365);
  const pair = (large: number, unit: string, small: number, smallUnit: string) =>
    small === 0 ? `${large}${unit}` : `${large}${unit}${small}${smallUnit}`;
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return pair(minutes, "m", seconds % 60, "s");
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return pair(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  if (days < 8) return pair(days, "d", hours % 24, "h");
  if (days < 730) return `${days}d`;
  return years < 8 ? pair(years, "y", days % 365, "d") : `${years}y`;
}
