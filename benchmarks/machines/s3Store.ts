import { AwsClient } from "aws4fetch";
import { checkKey, checksumOf, type Store, type StoredObject } from "./store.js";

const CHECKSUM = "x-amz-meta-sha256";
const ORIGIN = "x-amz-meta-origin";
/** Of a request that says nothing. */
const SILENCE_MS = 120_000;
const RETRIES = 5;

/**
 * A bucket of any service that speaks S3. The checksum travels with each object. Where the service
 * has conditional writes, exactly one writer is first; elsewhere two that write in the same moment may both be
 * told so, and one of their objects stays.
 */
export class S3Store implements Store {
  readonly location: string;
  readonly #name: string;
  /** Its address. */
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #client: AwsClient;
  readonly #pageSize: number | undefined;

  /**
   * Credentials, region and endpoint come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
   * AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
   *
   * @param location s3://BUCKET/PREFIX
   * @param pageSize of listings; the service's own if absent
   * @throws Error saying what is accepted, or what the environment lacks
   */
  constructor(location: string, environment: NodeJS.ProcessEnv = process.env, pageSize?: number) {
    const [, bucket, prefix = ""] =
      /^s3:\/\/([a-z0-9][a-z0-9.-]+)(?:\/(.*?))?\/?$/.exec(location) ?? [];
    if (bucket === undefined) throw new Error(`--store ${location}: it must be s3://BUCKET/PREFIX`);
    if (prefix !== "") checkKey(prefix);
    const needed = (name: string): string => {
      const value = environment[name];
      if (value) return value;
      throw new Error(`--store ${location}: the environment variable ${name} is not set`);
    };
    const region = environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? "us-east-1";
    const endpoint = environment["AWS_ENDPOINT_URL_S3"] ?? environment["AWS_ENDPOINT_URL"];
    this.location = location.replace(/\/$/, "");
    this.#name = bucket;
    this.#pageSize = pageSize;
    this.#prefix = prefix === "" ? "" : `${prefix}/`;
    this.#bucket =
      endpoint === undefined
        ? `https://${bucket}.s3.${region}.amazonaws.com`
        : `${endpoint.replace(/\/$/, "")}/${bucket}`;
    const sessionToken = environment["AWS_SESSION_TOKEN"];
    this.#client = new AwsClient({
      accessKeyId: needed("AWS_ACCESS_KEY_ID"),
      secretAccessKey: needed("AWS_SECRET_ACCESS_KEY"),
      ...(sessionToken !== undefined && { sessionToken }),
      ...{ service: "s3", region, retries: RETRIES },
    });
  }

  async get(key: string): Promise<StoredObject | undefined> {
    const response = await this.#request("GET", this.#path(key), { accepted: [200, 404] });
    if (response.status === 404) return undefined;
    const bytes = new Uint8Array(await response.arrayBuffer());
    const { headers } = response;
    return headers.get(CHECKSUM) === checksumOf(bytes)
      ? { bytes, origin: headers.get(ORIGIN) ?? "" }
      : { broken: "does not have the checksum that it was written with" };
  }

  async add(key: string, bytes: Uint8Array, origin: string): Promise<boolean> {
    // Services that do not know the condition ignore it.
    const path = this.#path(key);
    const known = await this.#request("HEAD", path, { accepted: [200, 404] });
    if (known.status === 200) return false;
    const response = await this.#put(key, { bytes, origin, condition: { "if-none-match": "*" } });
    return response.status === 200;
  }

  async replace(key: string, bytes: Uint8Array, origin: string): Promise<void> {
    await this.#put(key, { bytes, origin });
  }

  #put(
    key: string,
    {
      bytes,
      origin,
      condition = {},
    }: {
      readonly bytes: Uint8Array;
      readonly origin: string;
      readonly condition?: Record<string, string>;
    },
  ): Promise<Response> {
    return this.#request("PUT", this.#path(key), {
      // 409 and 412: somebody else writes or has written it.
      accepted: [200, 409, 412],
      body: bytes,
      headers: { [CHECKSUM]: checksumOf(bytes), [ORIGIN]: origin, ...condition },
    });
  }

  async remove(key: string): Promise<void> {
    await this.#request("DELETE", this.#path(key), { accepted: [200, 204, 404] });
  }

  async list(folder: string): Promise<string[]> {
    const prefix = `${this.#prefix}${checkKey(folder)}/`;
    const names: string[] = [];
    for (let last: string | undefined; ;) {
      const query = new URLSearchParams({
        prefix,
        ...(this.#pageSize !== undefined && { "max-keys": String(this.#pageSize) }),
        ...(last !== undefined && { marker: last }),
      });
      const response = await this.#request("GET", `?${query.toString()}`, { accepted: [200] });
      const text = await response.text();
      // Names of objects need no escapes in XML.
      const keys = [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = ""]) => key);
      names.push(...keys.map((key) => key.slice(prefix.length)));
      last = keys.at(-1);
      if (last === undefined || !text.includes("<IsTruncated>true<")) return names;
    }
  }

  async check(): Promise<void> {
    await this.list("cells");
    await this.replace("store-check", new Uint8Array(0), "check");
  }

  #path(key: string): string {
    return `/${(this.#prefix + checkKey(key)).split("/").map(encodeURIComponent).join("/")}`;
  }

  async #request(
    method: string,
    path: string,
    {
      accepted,
      body,
      headers = {},
    }: {
      readonly accepted: readonly number[];
      readonly body?: Uint8Array;
      readonly headers?: Record<string, string>;
    },
  ): Promise<Response> {
    const what = `${method} s3://${this.#name}${path.replace(/\?.*/, "")}`;
    const response = await this.#client
      .fetch(this.#bucket + path, {
        ...{ method, headers, signal: AbortSignal.timeout(SILENCE_MS) },
        ...(body !== undefined && { body: Buffer.from(body) }),
      })
      .catch((error: unknown) => {
        const { message, cause } = error as Error & { cause?: { message?: string } };
        throw new Error(`${what}: ${cause?.message ?? message}`, { cause: error });
      });
    if (accepted.includes(response.status)) return response;
    // The body may repeat the request and its signature; only the code of the error is shown.
    const code = /<Code>(\w+)<\/Code>/.exec(await response.text())?.[1];
    throw new Error(`${what}: ${code ?? response.statusText} (${String(response.status)})`);
  }
}
