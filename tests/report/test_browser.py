"""The page in a real browser: no errors, no network, a drawn shower, no sideways scrolling, dark mode."""

import json
import shutil

import pytest

pytestmark = pytest.mark.browser

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--window-size=1200,900",
)


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    paths = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in paths:
        pytest.skip("no chromium and chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(paths[1]))
    yield driver
    driver.quit()


def show(browser, page, *, width=1200, mobile=False, scheme="light"):
    metrics = {"width": width, "height": 850, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page.as_uri())
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


PIXELS = """
const c = document.querySelectorAll("canvas.shower")[arguments[0]];
const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
let n = 0, sum = 0;
for (let i = 3; i < d.length; i += 4) if (d[i]) { n++; sum += d[i - 1] + 3 * d[i - 2] + 7 * d[i - 3] + i % 9973; }
return [n, sum];
"""


def test_page(browser, report_folder):
    page = report_folder / "report.html"
    show(browser, page)
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert browser.execute_script(
        "return Array.from(document.images).every(image => image.complete && image.naturalWidth > 50)"
    )
    broken = browser.execute_script(
        "return Array.from(document.querySelectorAll('nav a')).filter(a => !document.querySelector(a.hash)).length"
    )
    assert broken == 0


def test_single_showers(browser, report_folder):
    from selenium.webdriver import ActionChains, Keys

    show(browser, report_folder / "report.html")
    before = [browser.execute_script(PIXELS, k) for k in (0, 1)]
    assert min(n for n, _ in before) > 2000
    assert before[0] != before[1]
    canvas = browser.find_element("css selector", "canvas.shower")
    assert "GeV incident" in canvas.get_attribute("aria-label")
    turned = []
    canvas.send_keys(Keys.ARROW_RIGHT)
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    turned.append(browser.execute_script(PIXELS, 1))
    ActionChains(browser).drag_and_drop_by_offset(canvas, 60, 20).perform()
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    turned.append(browser.execute_script(PIXELS, 1))
    browser.find_element("css selector", "#shower-choice button").click()
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    turned.append(browser.execute_script(PIXELS, 1))
    assert len({tuple(found) for found in (before[1], *turned)}) == 4, "every action changes the picture"
    pressed = [
        b.get_attribute("aria-pressed")
        for b in browser.find_elements("css selector", "#shower-choice button")
    ]
    assert pressed[0] == "true"
    assert pressed.count("true") == 1


def test_phone(browser, report_folder):
    show(browser, report_folder / "report.html", width=375, mobile=True)
    width, inner = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner == 375


def test_dark(browser, report_folder):
    brightness = (
        "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    for scheme, dark in (("light", False), ("dark", True)):
        show(browser, report_folder / "report.html", scheme=scheme)
        assert (sum(browser.execute_script(brightness)) < 150) is dark
        assert browser.get_log("browser") == []
