/** Which MLflow server, and who we are there: the address, and what MLflow's own variables of the environment say. */
import { InputError } from "../../errors.ts";

export interface MlflowServer {
  /** Without a slash at its end. */
  readonly base: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For messages: nothing secret. */
  readonly shown: string;
}

/** @throws InputError where there is none, or none that can be reached over HTTP */
export function mlflowServer(
  address: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): MlflowServer {
  const [said, where] =
    address === undefined
      ? [environment["MLFLOW_TRACKING_URI"], "MLFLOW_TRACKING_URI"]
      : [address, `--sink mlflow=${address}`];
  if (said === undefined || said === "")
    throw new InputError(
      "--sink mlflow: no server is named; say --sink mlflow=http://HOST:PORT or set MLFLOW_TRACKING_URI",
    );
  const url = URL.canParse(said) ? new URL(said) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new InputError(
      `${where}: an address of a server is needed, http://HOST:PORT; files and databases are for MLflow's own client alone`,
    );
  const { username, password } = url;
  [url.username, url.password, url.search, url.hash] = ["", "", "", ""];
  const base = url.href.replace(/\/+$/, "");
  const user = decodeURIComponent(username) || environment["MLFLOW_TRACKING_USERNAME"];
  const secret = decodeURIComponent(password) || environment["MLFLOW_TRACKING_PASSWORD"];
  const token = environment["MLFLOW_TRACKING_TOKEN"];
  const authorization =
    user && secret
      ? `Basic ${Buffer.from(`${user}:${secret}`).toString("base64")}`
      : token
        ? `Bearer ${token}`
        : undefined;
  return { base, headers: authorization === undefined ? {} : { authorization }, shown: base };
}
