import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { connect } from "../../../benchmarks/machines/index.js";
import { describeWithRedis, freePort, RedisServer } from "./redisServer.js";

const nothing = () => undefined;

describeWithRedis("a queue's server", () => {
  test("may start a little later than who connects to it", async ({ onTestFinished }) => {
    const server = await RedisServer.start();
    onTestFinished(() => server.kill());
    await server.kill();
    const connecting = connect(server.url, nothing);
    await sleep(1000);
    await server.restart();
    const client = await connecting;
    expect(await client.ping()).toBe("PONG");
    client.disconnect();
  });

  test("that never starts is named, with the reason", async () => {
    const url = `redis://:secret@127.0.0.1:${String(await freePort())}`;
    await expect(connect(url, nothing)).rejects.toThrow(
      /cannot work with the queue redis:\/\/:\*\*\*@127\.0\.0\.1:\d+: .*ECONNREFUSED/,
    );
  });

  test("that wants another password says so", async ({ onTestFinished }) => {
    const server = await RedisServer.start("--requirepass", "right");
    onTestFinished(() => server.kill());
    const url = server.url.replace("//", "//:wrong@");
    await expect(connect(url, nothing)).rejects.toThrow(/WRONGPASS/);
  });
});
