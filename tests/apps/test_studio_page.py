"""The studio's page in a real browser: drawing, looking inside, training, runs, phones, the keyboard."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from tests.apps.handwriting import placed, strokes_of

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("jax")
webdriver = pytest.importorskip("selenium.webdriver")
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
if os.environ.get("CI"):  # its trainings give way to other programs, and starve beside two busy workers
    pytest.skip(
        "the browser's tests run by themselves: pytest tests/apps/test_studio_page.py",
        allow_module_level=True,
    )
if not (CHROMIUM and CHROMEDRIVER):
    pytest.skip("needs Chromium and its driver", allow_module_level=True)
DATA = Path(os.environ.get("TRICERAS_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")

DRAW = """
const pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
const send = (type, [x, y]) => pad.dispatchEvent(new PointerEvent(type, {
  bubbles: true, pointerId: 1, buttons: 1, pointerType: arguments[1], pressure: 0.6,
  clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
for (const stroke of arguments[0]) {
  send("pointerdown", stroke[0]);
  for (const point of stroke.slice(1)) send("pointermove", point);
  send("pointerup", stroke.at(-1));
}
"""
# from a stroke's last point to the bars that show it, in milliseconds
TIMED = """
const [x, y, done] = arguments, pad = document.getElementById("pad"), bars = document.getElementById("bars");
const box = pad.getBoundingClientRect(), began = performance.now();
const before = Number(bars.dataset.version);
new MutationObserver((_, observer) => { if (Number(bars.dataset.version) > before) {
  observer.disconnect(); requestAnimationFrame(() => done(performance.now() - began)); } })
  .observe(bars, {attributes: true, attributeFilter: ["data-version"]});
pad.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, pointerId: 1, buttons: 1,
  clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with a reader of digits that has seen a little of MNIST, or nothing where there is none."""
    root = tmp_path_factory.mktemp("studio")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    with keras.use_engine("jax"):
        model = keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Rescaling(1 / 255),
                layers.Conv2D(8, 5, strides=2, padding="same", activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(24, 3, padding="same", activation="relu"),
                layers.Flatten(),
                layers.Dense(10, activation="softmax"),
            ]
        )
        if (DATA / "mnist.npz").is_file():
            with np.load(DATA / "mnist.npz") as data:
                x, y = data["x_train"][:4000, ..., None].astype("float32"), data["y_train"][:4000]
            model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
            model.fit(x, y, batch_size=64, epochs=3, verbose=0)
        (root / "runs" / "digits-1").mkdir(parents=True)
        model.save(root / "runs" / "digits-1" / "best.keras")
    (root / "runs" / "digits-1" / "history.csv").write_text("epoch,loss,val_loss\n1,0.9,0.8\n2,0.7,0.6\n")
    x, y = (
        np.random.default_rng(0).integers(0, 99, (120, 28, 28), "uint8"),
        np.arange(120, dtype="uint8") % 10,
    )
    x[np.arange(120), 4 + 2 * y] = 255  # a bright row, whose number is the class
    np.savez(root / "rows.npz", x_train=x[:90], y_train=y[:90], x_test=x[90:], y_test=y[90:])
    return root


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of a studio that runs as it does for a user."""
    words = [
        sys.executable,
        "-m",
        "triceras",
        "studio",
        "--port=0",
        "--no-browser",
        "--engine=jax",
        "--runs=runs",
    ]
    # the folder of the tests' own package, for trainings too
    env = {**os.environ, "PYTHONPATH": str(Path(keras.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://\S+", process.stdout.readline())[0]
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=180)
    assert process.returncode == 0 and "closed" in output
    status = folder / "runs" / "mnist-mlp-1" / "status.json"
    assert not status.is_file() or '"stopped"' in status.read_text()  # with the studio


class Browser:
    """Chromium at the studio's page.

    Args:
        address: of the studio.
        width: of the window.
        height: of the window.
        phone: whether it has a touch screen.
    """

    def __init__(self, address: str, width: int = 1280, height: int = 900, phone: bool = False) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for word in (
            "headless=new",
            "no-sandbox",
            "disable-gpu",
            "disable-dev-shm-usage",
            f"window-size={width},{height}",
        ):
            options.add_argument(f"--{word}")
        if phone:
            metrics = {"width": width, "height": height, "pixelRatio": 2, "touch": True}
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(CHROMEDRIVER))
        self.driver.set_script_timeout(90)
        self.address = address
        self.open("draw")

    def open(self, part: str) -> None:
        self.driver.get(f"{self.address}#/{part}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def wait(self, condition: str, *arguments: Any, seconds: float = 240) -> Any:
        """What a JavaScript expression gives, once that is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(f"return {condition}", *arguments)):
            assert time.monotonic() < end, f"{condition}; the page says {self.text('#notice')!r}"
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def draw(self, strokes: Any, pointer: str = "mouse") -> str:
        """The answer to a drawing on an empty pad."""
        self.wait("document.getElementById('model-facts').textContent.includes('classes')")
        self.run("document.getElementById('clear').click()")
        self.run(DRAW, [np.asarray(s).tolist() for s in strokes], pointer)
        last = self.run("return import('/page/state.js').then((m) => m.state.version)")
        self.wait("Number(document.getElementById('bars').dataset.version) >= arguments[0]", last)
        return self.text("#best-class")

    def check_log(self) -> None:
        """Nothing failed, and the policy of what the page may do was never broken."""
        assert [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    browser = Browser(address)
    yield browser
    with suppress(Exception):
        browser.driver.quit()


SEVEN = [[[0.3, 0.25], [0.7, 0.25], [0.5, 0.55], [0.42, 0.8]]]


def test_real_digits_are_read(browser: Browser) -> None:
    if not (DATA / "mnist.npz").is_file():
        pytest.skip("needs mnist.npz in TRICERAS_DATA or ../shared/data")
    with np.load(DATA / "mnist.npz") as data:
        digits, labels = data["x_test"][:20], data["y_test"][:20]
    random = np.random.default_rng(0)
    pointers = ["mouse", "touch", "pen"]
    right = [
        browser.draw(placed(strokes_of(digit), random), pointers[i % 3]) == str(label)
        for i, (digit, label) in enumerate(zip(digits, labels, strict=True))
    ]
    assert sum(right) >= 16
    browser.wait("document.getElementById('spoken').textContent.includes('%')")
    browser.check_log()


def test_bars_follow_the_pen(browser: Browser) -> None:
    browser.draw(SEVEN)
    browser.run(
        DRAW.replace('send("pointerup"', 'if (0) send("pointerup"'), [[[0.5, 0.5], [0.51, 0.5]]], "mouse"
    )
    time.sleep(0.5)
    took = [
        browser.driver.execute_async_script(TIMED, 0.3 + 0.01 * i, 0.5 + 0.1 * (i % 2)) for i in range(25)
    ]
    assert all(0 < milliseconds < 30_000 for milliseconds in took)  # how fast is for a benchmark to say
    browser.check_log()


def test_uploads(browser: Browser, folder: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 40, 3), "uint8")).save(
        tmp_path / "picture.png"
    )
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    browser.run("document.getElementById('clear').click()")
    file = browser.driver.find_element("id", "file")
    file.send_keys(str(tmp_path / "picture.png"))
    browser.wait("document.getElementById('best-how').textContent.includes('%')")
    file.send_keys(str(tmp_path / "broken.png"))
    browser.wait("document.getElementById('notice').textContent.includes('no picture')")
    browser.driver.get_log("browser")  # it notes the refusal
    browser.run("document.getElementById('clear').click()")


def test_what_becomes_of_a_drawing(browser: Browser, tmp_path: Path) -> None:
    browser.open("draw")
    ink = (
        "(() => { const pad = document.getElementById('pad'), { data } = pad.getContext('2d')"
        ".getImageData(0, 0, pad.width, pad.height); return data.some((v, i) => i % 4 < 3 && v > 120); })()"
    )
    empty = "!document.getElementById('bars').querySelector('.first')"
    browser.draw(SEVEN)
    browser.wait(ink)
    browser.keys("C")  # as with caps lock
    browser.wait(f"{empty} && !{ink}")
    browser.draw(SEVEN)
    actions = webdriver.ActionChains(browser.driver)
    actions.key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    browser.wait(f"{empty} && !{ink}")
    Image.new("RGB", (40, 40), "white").save(tmp_path / "white.png")
    browser.driver.find_element("id", "file").send_keys(str(tmp_path / "white.png"))
    browser.wait(f"{ink} && !({empty})")
    browser.click("#undo")
    browser.wait(f"{empty} && !{ink}")
    t = np.linspace(0, 60 * np.pi, 9000)
    browser.draw([np.stack([0.5 + 0.4 * np.cos(t), 0.5 + 0.4 * np.sin(t)], axis=1)])
    browser.run(DRAW, SEVEN, "mouse")
    browser.wait("document.getElementById('notice').textContent.includes('full')")
    assert browser.run("return import('/page/state.js').then((m) => m.state.input.strokes.length)") == 1
    browser.click("#clear")
    browser.check_log()


def test_a_broken_model_is_passed_over(browser: Browser, folder: Path) -> None:
    broken = folder / "runs" / "broken-1"
    broken.mkdir()
    try:
        (broken / "best.keras").write_bytes(b"no model")
        browser.run("localStorage.removeItem('model')")
        browser.open("draw")
        browser.driver.refresh()
        browser.wait("document.getElementById('model-facts').textContent.includes('classes')")
        assert browser.run("return document.getElementById('model').value") == "digits-1/best.keras"
        assert browser.text("#pad-hint").startswith("Draw a digit here") and not browser.text("#notice")
        browser.draw(SEVEN)
        choose = "const s = document.getElementById('model'); s.value = arguments[0]; s.onchange({target: s})"
        browser.run(choose, "broken-1/best.keras")
        browser.wait("document.getElementById('notice').textContent.includes('no .keras file')")
        assert not browser.text("#best-how") and not browser.text("#bars")  # nothing of the other model
        browser.run(choose + "; location.hash = '#/train'", "broken-1/best.keras")
        browser.wait("document.getElementById('model-facts').textContent === ''")
        assert not browser.text("#notice")  # which is about the part that is shown
        browser.run(choose, "digits-1/best.keras")
    finally:
        (broken / "best.keras").unlink()
        broken.rmdir()
        browser.driver.get_log("browser")  # it notes the refusals


def test_without_a_model(browser: Browser) -> None:
    browser.open("draw")
    browser.run("window.fetch = async () => new Response('{\"models\": []}')")
    browser.open("inside")
    browser.wait("document.querySelector('#model-facts a[href=\"#/train\"]')")
    browser.run("document.getElementById('clear').click()")
    browser.open("draw")
    browser.wait("document.getElementById('best-how').textContent === 'No model yet'")
    browser.driver.refresh()
    browser.check_log()


def test_addresses(browser: Browser) -> None:
    for address in ("#content", "#/nothing", "#/draw/%"):
        browser.driver.get("about:blank")
        browser.driver.get(browser.address + address)
        browser.wait("!document.getElementById('draw').hidden")
    browser.keys(Keys.TAB, Keys.ENTER)  # the link that skips to the content
    assert browser.run("return [document.activeElement.id, location.hash]") == ["content", "#/draw/%"]
    browser.check_log()


def test_runs_that_failed_or_are_not_there(browser: Browser, folder: Path) -> None:
    failed = folder / "runs" / "failed-1"
    failed.mkdir()
    try:
        (failed / "status.json").write_text('{"state": "failed", "error": "No such pictures."}')
        browser.open("runs/failed-1")
        browser.wait("document.getElementById('run').innerText.includes('No such pictures.')")
        assert "No epoch was finished." in browser.text("#run")
        browser.wait("document.activeElement.innerText === 'failed-1'")  # the link that led here is gone
        browser.open("runs/nothing")
        browser.wait("document.getElementById('notice').textContent.includes('no run called “nothing”')")
        browser.check_log()
        asked = "performance.getEntriesByName(`${location.origin}/api/runs/nothing`).length"
        browser.open("train/nothing")
        browser.wait("document.getElementById('notice').textContent.includes('no run called')")
        assert "Start a training" in browser.text("#training")
        time.sleep(4)
        assert browser.run(f"return {asked}") == 1
    finally:
        shutil.rmtree(failed)
        browser.driver.get_log("browser")


def test_keyboard(browser: Browser) -> None:
    """Everything that a mouse does, from the address bar on."""
    browser.open("draw")
    browser.driver.refresh()
    browser.wait("document.getElementById('model-facts').textContent.includes('classes')")
    browser.run("document.getElementById('pad').focus()")
    browser.keys(*[Keys.ARROW_UP] * 12, Keys.SPACE, *[Keys.ARROW_DOWN] * 24, Keys.SPACE)
    browser.wait("document.getElementById('best-how').textContent.includes('%')")
    reached = set()
    for _ in range(12):
        browser.keys(Keys.TAB)
        reached.add(
            browser.run("return document.activeElement.id || document.activeElement.textContent.trim()")
        )
    assert {"clear", "undo", "file", "centre", "to-inside"} <= reached
    browser.run("document.getElementById('to-inside').focus()")
    browser.keys(Keys.ENTER)
    browser.wait("document.querySelector('[data-keep=result]')")
    assert browser.text("#layer h2").startswith("conv2d")
    browser.run("document.querySelector('[data-keep=result]').focus()")
    browser.run("document.getElementById('layer').focus()")
    browser.keys(Keys.TAB, Keys.HOME)  # the maps are one stop, however many
    assert browser.run("return document.querySelector('.map[aria-pressed=true]').ariaLabel") == "Map 0"
    browser.keys(Keys.TAB, Keys.TAB)
    assert browser.run("return document.activeElement.dataset.keep") == "result"
    browser.wait("document.querySelector('#detail .side:nth-of-type(3) h3').innerText === 'Output map 0'")
    place = browser.text("#detail .side:nth-of-type(3) p")
    browser.keys(Keys.ARROW_LEFT)
    browser.wait("document.querySelector('#detail .side:nth-of-type(3) p').innerText !== arguments[0]", place)
    assert browser.run("return document.activeElement.dataset.keep") == "result"
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline not in ("none", "")
    browser.run("document.querySelector('.stop[tabindex=\"0\"]').focus()")
    browser.keys(Keys.ARROW_RIGHT)
    browser.wait("document.querySelector('#layer h2').innerText.startsWith('max_pooling')")
    nameless = browser.run(
        "return [...document.querySelectorAll('button, input, select, a[href]')].filter((e) =>"
        " e.checkVisibility() && !(e.innerText || e.ariaLabel || e.labels?.length)).map((e) => e.outerHTML)"
    )
    assert nameless == []
    browser.check_log()


def test_look_inside(browser: Browser) -> None:
    browser.open("draw")
    browser.draw(SEVEN)
    browser.open("inside")
    browser.wait("document.querySelectorAll('.stop').length === 8")
    names = []
    for i in range(1, 7):
        browser.run(f"document.querySelectorAll('.stop')[{i}].click()")
        names.append(re.sub(r"_\d+$", "", browser.text("#layer h2")))
    assert names == ["rescaling", "conv2d", "max_pooling2d", "conv2d", "flatten", "dense"]
    browser.wait("document.querySelectorAll('.dense-pair table').length === 2")  # sums, and softmax
    browser.run("document.querySelectorAll('.stop')[2].click()")
    browser.wait("document.querySelector('#detail .grids')")
    cells = browser.run(
        "return [...document.querySelectorAll('.grids .grid')]"
        ".map((grid) => [...grid.children].map((cell) => Number(cell.title) || 0))"
    )
    window, kernel, products = map(np.array, cells)
    assert np.allclose(window * kernel, products, atol=1e-5) and products.any()
    browser.run("document.querySelectorAll('.stop')[7].click()")
    browser.wait("document.querySelector('.overlay canvas[data-ready^=grad-cam]')")
    browser.run("const s = document.getElementById('why-method'); s.value = 'saliency'; s.onchange()")
    browser.wait("document.querySelector('.overlay canvas[data-ready^=saliency]')")
    heat = "document.querySelectorAll('.overlay canvas')[1]"
    assert browser.run(f"return {heat}.getContext('2d').getImageData(0, 0, 336, 336).data.some((v) => v > 0)")
    browser.check_log()


def test_training(browser: Browser, folder: Path) -> None:
    browser.open("train")
    browser.wait("document.getElementById('recipe').options.length > 3")
    browser.run("const s = document.getElementById('recipe'); s.value = 'mnist-mlp'; s.onchange()")
    for name, value in [("data", str(folder / "rows.npz")), ("epochs", "9999"), ("engine", "jax")]:
        browser.run("document.getElementById(arguments[0]).value = arguments[1]", f"option-{name}", value)
    browser.click("#start")
    browser.wait("document.querySelector('#training-state .running')", seconds=240)
    grown = "document.querySelector('#live-curves .line')?.getAttribute('d').split('L').length > arguments[0]"
    browser.wait(grown, 2)
    browser.wait(grown, 5)
    assert browser.run("return document.getElementById('training-bar').value > 0")
    browser.driver.set_network_conditions(offline=True, latency=0, throughput=0)
    browser.wait("document.getElementById('notice').textContent.includes('answer')")
    browser.driver.set_network_conditions(offline=False, latency=0, throughput=-1)
    browser.wait("document.getElementById('notice').hidden")
    browser.run("document.getElementById('start').click()")  # another one
    browser.wait("document.getElementById('notice').textContent.includes('mnist-mlp-1 still runs')")
    browser.driver.get_log("browser")
    browser.click("#stop")
    browser.wait("document.querySelector('#training-state .stopped')")
    done = len((folder / "runs" / "mnist-mlp-1" / "history.csv").read_text().splitlines())
    browser.wait("!document.getElementById('resume').hidden")
    browser.click("#resume")
    browser.wait("document.querySelector('#training-state .running')", seconds=240)
    browser.wait(grown, done)
    browser.open("runs")
    browser.wait("document.getElementById('runs-table').innerText.includes('mnist-mlp-1')")
    browser.run("document.querySelectorAll('#runs-table input').forEach((box) => box.click())")
    browser.wait("document.querySelector('#compare .line')")
    browser.open("runs/mnist-mlp-1")
    browser.wait("document.querySelector('#run .line')")
    browser.check_log()  # it is stopped when the studio ends


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_phones(address: str, theme: str) -> None:
    browser = Browser(address, 390, 844, phone=True)
    try:
        feature = {"name": "prefers-color-scheme", "value": theme}
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.draw(SEVEN, "touch")
        for part, ready in [
            ("draw", "#bars li"),
            ("inside", ".map"),
            ("train", "#recipe option"),
            ("runs", "#runs-table td"),
        ]:
            browser.open(part)
            browser.wait("document.querySelector(arguments[0])", ready)
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), part
        browser.open("runs/digits-1")
        browser.wait("document.querySelector('#run .line')")
        chart = browser.run(
            "const c = document.querySelector('#run .chart svg'); return [c.viewBox.baseVal.width, c.clientWidth]"
        )
        assert chart[0] == chart[1]  # so that its numbers have their own size
        badge = "document.querySelector('#runs-table .state').getBoundingClientRect()"
        assert browser.run(f"return {badge}.right <= innerWidth")
        browser.open("draw")
        top = "document.querySelector(arguments[0]).getBoundingClientRect().top"
        assert browser.run(f"return {top}", "#clear") == browser.run(f"return {top}", "[for=camera]")
        ground, ink = (
            browser.run(f"return getComputedStyle(document.body).{name}")
            for name in ("backgroundColor", "color")
        )
        light = [sum(map(int, re.findall(r"\d+", color)[:3])) / 3 for color in (ground, ink)]
        assert abs(light[0] - light[1]) > 180 and (light[0] > light[1]) == (theme == "light")
        browser.run("document.getElementById('theme').click()")
        browser.wait("getComputedStyle(document.body).backgroundColor !== arguments[0]", ground)
        browser.check_log()
    finally:
        browser.driver.quit()
