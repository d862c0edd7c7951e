/** What the hub says of a file: which commit it is of, how long it is, and what its bytes hash to. */
import { FormatError, LowrankError, type Files } from "@lowrank/tensor";
import { http } from "../http.ts";
import { web } from "../platform.ts";
import { ask, lengthOf, patiently, type Answer } from "../request.ts";
import type { HubSettings } from "./settings.ts";

export interface RemoteFile {
  readonly commit: string;
  /** Name of its blob: SHA-256 of large files, git's object id of small ones. */
  readonly etag: string;
  readonly size: number;
}

export interface Absent {
  /** Where the hub says it. */
  readonly commit: string | undefined;
  readonly absent: true;
}

const MOST_REDIRECTS = 5;

export function urlOf({ endpoint, id }: HubSettings, revision: string, name: string): string {
  const path = name.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}/${id}/resolve/${encodeURIComponent(revision)}/${path}`;
}

export function headersOf({ token }: HubSettings): Record<string, string> {
  return { "accept-encoding": "identity", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
}

/** Files of one commit, read by ranges. */
export function filesOf(settings: HubSettings, commit: string): Files {
  const { authorization } = headersOf(settings);
  const headers = authorization === undefined ? {} : { headers: { authorization } };
  return http(folderOf(settings, commit), { ...headers, timeout: settings.timeout });
}

/** URL of all files of a commit. */
export function folderOf(settings: HubSettings, commit: string): string {
  return urlOf(settings, commit, "").replace(/\/$/, "");
}

/** @throws LowrankError (FileError) where there is no such model or revision, or it is not for everybody */
export async function remoteFile(settings: HubSettings, revision: string, name: string): Promise<RemoteFile | Absent> {
  const what = `${settings.id}/${name}`;
  return patiently(what, async () => {
    let url = urlOf(settings, revision, name);
    let commit: string | undefined;
    for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
      const own = new web.URL(url).origin === new web.URL(settings.endpoint).origin;
      const headers = own ? headersOf(settings) : { "accept-encoding": "identity" };
      const answer = await ask(url, { method: "HEAD", redirect: "manual", headers }, settings.timeout);
      await answer.discard();
      // other servers have no say in what a file is
      if (own) commit ??= answer.header("x-repo-commit") ?? undefined;
      const moved = answer.status >= 300 && answer.status < 400 ? answer.header("location") : null;
      const linked = answer.header("x-linked-etag");
      if (moved !== null && linked === null) {
        url = new web.URL(moved, url).href;
        continue;
      }
      if (moved === null && isAbsent(settings, answer, what)) return { commit, absent: true };
      return described(what, commit, linked ?? answer.header("etag"), sizeOf(answer, moved !== null));
    }
    throw new LowrankError("FileError", `${what}: ${settings.endpoint} redirects without an end`);
  });
}

function sizeOf(answer: Answer, moved: boolean): number | undefined {
  const linked = answer.header("x-linked-size");
  if (linked !== null && /^\d+$/.test(linked)) return Number(linked);
  return moved ? undefined : lengthOf(answer);
}

function described(
  what: string,
  commit: string | undefined,
  quoted: string | null,
  size: number | undefined,
): RemoteFile {
  const etag = quoted?.replace(/^W\//, "").replace(/^"(.*)"$/, "$1");
  // both become names of files
  const [goodCommit, goodEtag] = [commit, etag].map((one) => /^\w[\w.-]*$/.test(one ?? ""));
  if (!goodCommit || !goodEtag || size === undefined)
    throw new FormatError(
      `${what}: the server does not say ${goodCommit ? (goodEtag ? "how long it is" : "its etag") : "of which commit it is (x-repo-commit)"}; is the endpoint a hub?`,
    );
  return { commit: commit!, etag: etag!, size };
}

function isAbsent({ id, revision, endpoint, token }: HubSettings, answer: Answer, what: string): boolean {
  const { status } = answer;
  if (status >= 200 && status < 300) return false;
  const code = answer.header("x-error-code");
  const fail = (why: string): never => {
    throw new LowrankError("FileError", why);
  };
  if (code === "RevisionNotFound") return fail(`${id}: ${endpoint} has no revision "${revision}" of it`);
  if (code === "RepoNotFound" || status === 401)
    return fail(
      `${id}: ${endpoint} has no model of that name${token === undefined ? ", or not for everybody: then it needs a token (HF_TOKEN)" : " that this token may read"}`,
    );
  if (code === "GatedRepo" || status === 403)
    return fail(
      `${id}: ${endpoint} gives it to those only who have agreed to its terms there${token === undefined ? ", with their token (HF_TOKEN)" : ""}`,
    );
  if (status === 404 || status === 410) return true;
  return fail(`${what}: ${endpoint} answers ${status}${code === null ? "" : ` (${code})`}`);
}
