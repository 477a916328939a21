/**
 * The studio in a real browser against the real binary: painted with real pointer events, looked at by its pixels.
 *
 *     node studio.mjs          ($SPADEWORK_BIN, $CHROMIUM, $SCREENSHOTS say what and where)
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { accessibilityMistakes } from "./page_checks.mjs";
import { Server, binary } from "./server.mjs";

/**
 * @param {string} reason
 * @returns {never}
 */
function skip(reason) {
  console.log(`skip  the studio in a browser: ${reason}`);
  process.exit(77);
}

const chromium = process.env.CHROMIUM ?? spawnSync("which", ["chromium"]).stdout.toString().trim();
if (!chromium) skip("there is no chromium; install it (Debian: chromium) or set CHROMIUM");
const playwright = await import("playwright-core").catch(() => skip("playwright-core is not installed; run `npm ci` here"));
const screenshots = process.env.SCREENSHOTS ?? fileURLToPath(new URL("../../target/studio", import.meta.url));
mkdirSync(screenshots, { recursive: true });

const server = new Server(binary());
await server.start();
const browser = await playwright.chromium.launch({ executablePath: chromium, args: ["--no-sandbox"] });
const context = await browser.newContext({ viewport: { width: 1920, height: 1080 }, colorScheme: "light" });
const page = await context.newPage();
/** Console errors, and requests that leave the origin; a lost server is no mistake of the page. */
const mistakes = /** @type {string[]} */ ([]);
let expectLoss = false;
page.on("pageerror", (error) => mistakes.push(`page error: ${error.message}`));
page.on("console", (message) => {
  if (message.type() === "error" && !expectLoss) mistakes.push(`console: ${message.text()}`);
});
page.on("request", (request) => {
  if (!request.url().startsWith(server.url) && !/^(blob|data):/.test(request.url())) mistakes.push(`left the origin: ${request.url()}`);
});

/** @param {string} name  @param {() => Promise<void>} body */
async function step(name, body) {
  await body();
  console.log(`ok    ${name}`);
}

const shownPicture = () => page.evaluate(() => document.querySelector("#picture")?.getAttribute("src") ?? null);

/**
 * Does `action`, and waits until another picture is shown and nothing is under way.
 *
 * @param {() => Promise<unknown>} action
 */
async function newPicture(action) {
  const before = await shownPicture();
  await action();
  await page.waitForFunction(
    (before) => {
      const picture = document.querySelector("#picture");
      const idle = document.querySelector("#status")?.getAttribute("data-state") === "idle";
      // A page that has only just been loaded is idle and has no picture yet.
      const shown = picture?.getAttribute("src") ?? before;
      return idle && picture instanceof HTMLImageElement && picture.complete && shown !== before;
    },
    before,
    { timeout: 30_000 },
  );
}

/** Fractions of the canvas to a point of the page. @param {number} x @param {number} y */
async function at(x, y) {
  const box = await page.locator("#canvas").boundingBox();
  assert.ok(box);
  return { x: box.x + x * box.width, y: box.y + y * box.height };
}

/** A stroke through points. @param {[number, number][]} points */
async function stroke(points) {
  const [first, ...rest] = await Promise.all(points.map(([x, y]) => at(x, y)));
  await page.mouse.move(first.x, first.y);
  await page.mouse.down();
  for (const { x, y } of rest) await page.mouse.move(x, y, { steps: 6 });
  await page.mouse.up();
}

/** Mean red, green and blue of a part of an image or canvas. @param {string} selector @param {[number, number, number, number]} part */
async function mean(selector, part) {
  return page.evaluate(
    ([selector, [x0, y0, x1, y1]]) => {
      const source = /** @type {HTMLImageElement | HTMLCanvasElement} */ (document.querySelector(selector));
      const [w, h] = source instanceof HTMLImageElement ? [source.naturalWidth, source.naturalHeight] : [source.width, source.height];
      const canvas = new OffscreenCanvas(w, h);
      const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
      context.drawImage(source, 0, 0);
      const { data } = context.getImageData(x0 * w, y0 * h, (x1 - x0) * w, (y1 - y0) * h);
      const sums = [0, 0, 0];
      for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c += 1) sums[c] += data[i + c];
      return sums.map((sum) => sum / (data.length / 4));
    },
    /** @type {[string, [number, number, number, number]]} */ ([selector, part]),
  );
}

/** Modulation tables that were there in part, of all pictures so far. */
async function partialHits() {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(text.match(/^spadework_modulation_table_requests_total\{result="partial"\} (\d+)/m)?.[1] ?? NaN);
}

/**
 * Median first contentful paint of visitors who have never been here, one after the other, in milliseconds.
 *
 * @param {string} path
 */
async function firstPaint(path) {
  const paints = /** @type {number[]} */ ([]);
  for (let i = 0; i < 7; i += 1) {
    const visitor = await browser.newContext({ viewport: { width: 1920, height: 1080 } });
    const page = await visitor.newPage();
    await page.goto(server.url + path);
    await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
    paints.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN));
    await visitor.close();
  }
  return paints.sort((a, b) => a - b)[3];
}

/** @param {string} name */
const shot = (name) => page.screenshot({ path: join(screenshots, `${name}.png`) });

try {
  await step("the page opens and shows a picture", async () => {
    await newPicture(() => page.goto(server.url));
    const bytes = await page.evaluate(() =>
      [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .filter(({ name }) => name.includes("/studio/") || new URL(name).pathname === "/")
        .reduce((sum, entry) => sum + /** @type {PerformanceResourceTiming} */ (entry).transferSize, 0),
    );
    const [paint, floor] = [await firstPaint("/"), await firstPaint("/livez")];
    console.log(`      first contentful paint after ${paint} ms (a page of one word: ${floor} ms), ${(bytes / 1000).toFixed(0)} kB on the wire`);
    assert.ok(bytes > 20_000 && bytes < 150_000, `the page has ${bytes} bytes`);
  });

  await step("a painted scene becomes a picture: blue under sky, green under grass", async () => {
    await page.locator("#clear").click();
    await newPicture(async () => {
      await page.keyboard.press("f");
      await page.keyboard.type("0");
      await page.mouse.click((await at(0.5, 0.5)).x, (await at(0.5, 0.5)).y);
    });
    await page.keyboard.press("r");
    await page.locator('#labels input[value="6"]').check({ force: true });
    await newPicture(() => stroke([[0.001, 0.6], [0.999, 0.999]]));
    await page.locator('#moods input[type="radio"]').nth(1).check({ force: true });
    await page.waitForTimeout(300);
    await page.waitForFunction(() => document.querySelector("#status")?.getAttribute("data-state") === "idle");
    const [skyRed, , skyBlue] = await mean("#picture", [0.1, 0.05, 0.9, 0.4]);
    const [, grassGreen, grassBlue] = await mean("#picture", [0.1, 0.75, 0.9, 0.95]);
    assert.ok(skyBlue > skyRed + 15, `the sky is not blue: ${skyRed} red, ${skyBlue} blue`);
    assert.ok(grassGreen > grassBlue + 10, `the grass is not green: ${grassGreen} green, ${grassBlue} blue`);
  });

  await step("undo takes a stroke back, and redo brings it again", async () => {
    const part = /** @type {[number, number, number, number]} */ ([0.3, 0.2, 0.4, 0.3]);
    const before = await mean("#canvas", part);
    await page.keyboard.press("b");
    await page.locator('#labels input[value="1"]').check({ force: true });
    await newPicture(() => stroke([[0.25, 0.25], [0.5, 0.25]]));
    assert.notDeepEqual(await mean("#canvas", part), before);
    await newPicture(() => page.keyboard.press("Control+z"));
    assert.deepEqual(await mean("#canvas", part), before);
    await newPicture(() => page.keyboard.press("Control+Shift+z"));
    assert.notDeepEqual(await mean("#canvas", part), before);
  });

  await step("another seed and another style make another picture", async () => {
    const sky = () => mean("#picture", [0.6, 0.05, 0.9, 0.3]);
    const day = await sky();
    await newPicture(() => page.locator("#reroll").click());
    const names = await page.locator("#moods input").count();
    assert.ok(names >= 4, `${names} styles are offered`);
    await newPicture(() => page.locator('#moods input[type="radio"]').nth(4).check({ force: true }));
    const dusk = await sky();
    assert.ok(Math.abs(day[0] - dusk[0]) + Math.abs(day[2] - dusk[2]) > 20, `${day} against ${dusk}`);
  });

  await step("labels are found by their names and by their numbers", async () => {
    const chosen = () => page.locator("#labels input:checked").getAttribute("value");
    await page.locator("#canvas").focus();
    await page.keyboard.press("/");
    await page.keyboard.type("riv");
    assert.equal(await page.locator("#labels input").count(), 1);
    await page.keyboard.press("Enter");
    assert.equal(await chosen(), "9");
    await page.keyboard.type("12");
    assert.equal(await chosen(), "12");
  });

  await step("a picture lends its style, and its variation can be asked for", async () => {
    const variation = page.locator("#noise");
    assert.equal(await variation.isVisible(), false);
    const picture = fileURLToPath(new URL("fixtures/mask.png", import.meta.url));
    await newPicture(() => page.locator("#style-file").setInputFiles(picture));
    await newPicture(() => variation.fill("0.8"));
    assert.equal(await page.locator("#problem").isVisible(), false);
    await newPicture(() => page.locator('#moods input[type="radio"]').first().check({ force: true }));
    assert.equal(await variation.isVisible(), false);
  });

  await step("seeds stand side by side, and two looks blend", async () => {
    await page.locator("#beside").selectOption("4");
    await page.waitForFunction(() => document.querySelectorAll("#strip img").length === 4);
    await newPicture(() => page.locator("#strip button").nth(2).click());
    await page.locator("#keep-a").click();
    await newPicture(() => page.locator("#reroll").click());
    await page.locator("#keep-b").click();
    const before = await mean("#picture", [0, 0, 1, 1]);
    await newPicture(() => page.locator("#blend").fill("0.5"));
    assert.notDeepEqual(await mean("#picture", [0, 0, 1, 1]), before);
    await newPicture(() => page.locator("#stop-blend").click());
    await page.locator("#beside").selectOption("0");
  });

  await step("the request can be taken away as code", async () => {
    await page.locator("#code").click();
    for (const [language, words] of [["curl", "-F mask=@mask.png"], ["Python", "requests.post"], ["JavaScript", "fetch("]]) {
      await page.locator(`#languages input[value="${language}"]`).check({ force: true });
      assert.ok((await page.locator("#code-text").innerText()).includes(words), language);
    }
    await page.keyboard.press("Escape");
  });

  await step("a mask can be imported, and a file that is none is refused with a sentence", async () => {
    const mask = fileURLToPath(new URL("fixtures/mask.png", import.meta.url));
    await newPicture(() => page.locator("#mask-file").setInputFiles(mask));
    assert.match(await page.locator("#mask-read").innerText(), /Read as gray ids/);
    expectLoss = true; // the browser logs the server's refusal
    await page.locator("#mask-file").setInputFiles({ name: "x.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
    await page.locator("#problem").waitFor({ state: "visible" });
    assert.match(await page.locator("#problem-text").innerText(), /not an image/);
    await page.locator("#dismiss").click();
    expectLoss = false;
  });

  await step("what was painted is there after the page is loaded again", async () => {
    const part = /** @type {[number, number, number, number]} */ ([0.2, 0.2, 0.8, 0.8]);
    await page.locator('#labels input[value="13"]').check({ force: true });
    await newPicture(() => stroke([[0.3, 0.7], [0.7, 0.3]]));
    const painted = await mean("#canvas", part);
    await page.waitForTimeout(600); // it is kept once a pause comes
    await newPicture(() => page.reload());
    assert.deepEqual(await mean("#canvas", part), painted);
  });

  await step("a finger paints, and two fingers do not", async () => {
    const part = /** @type {[number, number, number, number]} */ ([0, 0, 1, 1]);
    const before = await mean("#canvas", part);
    const touch = await context.newCDPSession(page);
    const send = (/** @type {"touchStart" | "touchMove" | "touchEnd"} */ type, /** @type {{x: number, y: number}[]} */ touchPoints) =>
      touch.send("Input.dispatchTouchEvent", { type, touchPoints });
    const [from, to, other] = await Promise.all([at(0.2, 0.15), at(0.6, 0.15), at(0.5, 0.5)]);
    await send("touchStart", [from]);
    await send("touchStart", [from, other]);
    await send("touchMove", [to, other]);
    await send("touchEnd", []);
    assert.deepEqual(await mean("#canvas", part), before);
    await page.locator("#zoom-fit").click();
    await newPicture(async () => {
      await send("touchStart", [from]);
      await send("touchMove", [to]);
      await send("touchEnd", []);
    });
    assert.notDeepEqual(await mean("#canvas", part), before);
  });

  await step("another model brings its own labels", async () => {
    await newPicture(() => page.locator("#model").selectOption("tiny"));
    assert.equal(await page.locator("#labels input").count() >= 3, true);
    await newPicture(() => page.locator("#model").selectOption("landscape"));
    assert.equal(await page.locator("#labels input").count(), 14);
  });

  await step("a lost server is told, and a server that comes back is used", async () => {
    expectLoss = true;
    await server.lose();
    await stroke([[0.4, 0.4], [0.6, 0.5]]);
    await page.locator("#problem").waitFor({ state: "visible" });
    await shot("lost");
    await newPicture(() => server.start());
    await page.locator("#problem").waitFor({ state: "hidden" });
    expectLoss = false;
  });

  await step("the last stroke's picture comes soon, from tables that were there", async () => {
    const times = [];
    const before = await partialHits();
    await page.keyboard.press("b");
    for (let i = 0; i < 21; i += 1) {
      await page.locator(`#labels input[value="${[2, 5, 10][i % 3]}"]`).check({ force: true });
      const x = 0.1 + 0.04 * i;
      let released = 0;
      await newPicture(async () => {
        await stroke([[x, 0.45], [x + 0.03, 0.5]]);
        released = performance.now();
      });
      times.push(performance.now() - released);
    }
    times.sort((a, b) => a - b);
    const hits = (await partialHits()) - before;
    console.log(`      stroke to picture: median ${times[10].toFixed(0)} ms, p95 ${times[19].toFixed(0)} ms; ${hits} partial table hits`);
    assert.ok(hits > 0, "no table was used again");
  });

  await step("an example scene can be begun in any style", async () => {
    await newPicture(() => page.locator("#example").selectOption({ index: 1 }));
    await newPicture(() => page.locator('#moods input[type="radio"]').nth(2).check({ force: true }));
  });

  await step("names, contrast and focus order are in order, light and dark", async () => {
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.waitForTimeout(300); // colours may still be on their way
      assert.deepEqual(await page.evaluate(accessibilityMistakes), [], `${colorScheme}, studio`);
      for (const width of [1920, 390]) {
        await page.setViewportSize({ width, height: width === 390 ? 844 : 1080 });
        await page.waitForTimeout(200);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(overflow <= 0, `${overflow} pixels too wide at ${width}`);
        await shot(`studio-${width}-${colorScheme}`);
      }
    }
  });

  await step("the API page is in order", async () => {
    await page.setViewportSize({ width: 1280, height: 1000 });
    await page.goto(`${server.url}/docs`);
    // Swagger UI: every operation of the description, and a mask can be tried.
    await page.locator(".opblock").first().waitFor();
    const synthesize = page.locator("#operations-synthesis-synthesize");
    await synthesize.locator(".opblock-summary-control").click();
    await synthesize.locator(".opblock-section-request-body select").first().selectOption("multipart/form-data");
    const mask = synthesize.locator('[data-property-name="mask"] input[type="file"]');
    await mask.setInputFiles(fileURLToPath(new URL("fixtures/mask.png", import.meta.url)));
    await synthesize.locator("button.execute").click();
    const image = synthesize.locator(".live-responses-table img");
    await image.waitFor();
    await image.scrollIntoViewIfNeeded();
    await shot("docs");
  });

  await step("no console error, and no request left the origin", async () => assert.deepEqual(mistakes, []));
} finally {
  await browser.close();
  await server.stop();
}
