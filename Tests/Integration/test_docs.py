"""Man pages, help, completions, README and examples agree with the programs."""

import json
import re
import shutil
import subprocess

import pytest

import lab as labs
from lab import PROGRAMS, REPOSITORY

SECTIONS = {"mnedcd": 8, "mnedc-join": 8, "mnedc-peers": 1, "mnedc-ctl": 8}
PAGES = sorted((REPOSITORY / "man").glob("*.[1-8]"))
# Each under the name that its shell wants to find installed.
COMPLETIONS = {"bash": "bash/{}", "zsh": "zsh/_{}", "fish": "fish/{}.fish"}
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _can_run(request):
    """In place of the other tests' condition: most of these need the programs, but neither root nor a lab."""
    if labs.programs() is None:
        pytest.skip("the programs are not built; 'make build', or BUILD=DIRECTORY")
    if "flat" in request.fixturenames and request.config.why_not:
        pytest.skip(request.config.why_not)


# --- Reading ---


def run(program, *options, check=True):
    return subprocess.run(
        [labs.programs() / program, *map(str, options)], capture_output=True, text=True, check=check, timeout=30
    )


def source(path):
    return (REPOSITORY / "Sources" / path).read_text()


def page(program):
    return (REPOSITORY / "man" / f"{program}.{SECTIONS[program]}").read_text()


def section(text, title):
    """The lines of a page's section, or of a subsection."""
    found = re.search(rf'^\.S[hs] "?{re.escape(title)}"?\n(.*?)(?=^\.S[hs] |\Z)', text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {title}"
    return found[1]


def items(text, macro):
    """{head: body} of every list item whose head begins with `macro`, such as `.It Fl c , Fl -config Ar file`."""
    parts = re.split(r"^\.It ", text, flags=re.MULTILINE)[1:]
    heads = [part.partition("\n") for part in parts]
    return {head.removeprefix(macro + " "): body for head, _, body in heads if head.startswith(macro + " ")}


def default(body):
    """The value that an item names behind `Default:`; None where it is none or told in words."""
    found = re.search(r"^Default:\n\.(?:Cm|Pa) (\S+)", body, re.MULTILINE)
    return found and found[1].replace("\\&", "")


def commands(program):
    """What the program's own parser says about it, its subcommands and theirs."""

    def whole(command):
        inner = [each for each in command.get("subcommands", []) if each["commandName"] != "help"]
        return [command, *(each for one in inner for each in whole(one))]

    return whole(json.loads(run(program, "--experimental-dump-help").stdout)["command"])


def options(program):
    """{frozenset of names}: argument, of the program and its subcommands, as its own parser describes them."""
    return {
        frozenset(name["name"] for name in argument["names"]): argument
        for each in commands(program)
        for argument in each.get("arguments", [])
        if argument["kind"] != "positional"
    }


def positionals(program):
    """The names of the arguments that are no options, of the program and its subcommands."""
    return {
        argument["valueName"]
        for each in commands(program)
        for argument in each.get("arguments", [])
        if argument["kind"] == "positional"
    }


def documented_options(program):
    return {
        frozenset(re.findall(r"(?:^|Fl )-?([a-z][a-z-]*)(?= |$)", re.sub(r" Ar .*", "", head))): (head, body)
        for head, body in items(page(program), "Fl").items()
    }


def report_sources():
    return "".join(path.read_text() for path in sorted((REPOSITORY / "Sources" / "Control").glob("*Report*.swift")))


def keys_of(report):
    """The keys of a report of Sources/Control, or of a part of Orchestration, including those of the structs in it."""
    text = report_sources() + source("Wire/Orchestration.swift")
    body = re.search(rf"^( *)public struct {report}:.*?^\1}}", text, re.MULTILINE | re.DOTALL)[0]
    found = set()
    for name, kind in re.findall(r"public var `?(\w+)`?(?:: ([^\n{]+)| =)", body):
        found.add(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
        inner = re.match(r"\[?(?:Orchestration\.)?(\w+Report|Service|Location)\b", kind)
        if inner and inner[1] != report:
            found |= keys_of(inner[1])
    return found


def documented_keys(program):
    text = section_with_subsections(page(program), "JSON")
    return {key for head in items(text, "Cm") for key in re.findall(r"\w+", head)}


def printed_keys(value):
    if isinstance(value, dict):
        return set(value).union(*map(printed_keys, value.values()))
    return set().union(*map(printed_keys, value)) if isinstance(value, list) else set()


# --- Options ---


@pytest.mark.parametrize("program", PROGRAMS)
def test_man_page_and_help_agree_on_every_option(program):
    """Names, whether there is a value, and defaults; and the synopsis has each."""
    real, documented = options(program), documented_options(program)
    assert {tuple(sorted(names)) for names in documented} == {tuple(sorted(names)) for names in real}
    synopsis = section(page(program), "SYNOPSIS")
    for names, argument in real.items():
        head, body = documented[names]
        assert (" Ar " in head) == (argument["kind"] == "option"), head
        flags = {("-" + name if len(name) > 1 else name) for name in names}
        check = names == {"help", "h"} or any(re.search(rf"(Fl|\|) {re.escape(flag)}\b", synopsis) for flag in flags)
        assert check, f"{sorted(names)} is not in the synopsis"
        shown = re.search(r"\(default: ([^\s)]+)\)", argument["abstract"])
        assert (shown and shown[1]) == default(body), head


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_synopsis_has_every_argument(program):
    """By the name that the help has for it."""
    synopsis = section(page(program), "SYNOPSIS")
    for name in positionals(program):
        assert re.search(rf"^\.(Op )?Ar {name}$", synopsis, re.MULTILINE), name


@pytest.mark.parametrize("program", ["mnedc-ctl", "mnedc-peers"])
def test_the_synopsis_of_a_command_has_its_options(program):
    """Each by one of its names, and no others."""

    def taken(command, path=()):
        inner = [each for each in command.get("subcommands", []) if each["commandName"] != "help"]
        for each in inner:
            yield from taken(each, (*path, each["commandName"]))
        if path and not inner:
            yield (
                " ".join(path),
                {
                    frozenset(name["name"] for name in argument["names"])
                    for argument in command["arguments"]
                    if argument["kind"] != "positional"
                },
            )

    own = {frozenset(["help", "h"]), frozenset(["version"])}
    real = {
        name: found - own
        for name, found in taken(json.loads(run(program, "--experimental-dump-help").stdout)["command"])
    }
    lines = re.split(r"^\.Nm\n", section(page(program), "SYNOPSIS"), flags=re.MULTILINE)
    written = {
        found[1]: set(re.findall(r"(?:Fl |\| -)-?([a-z][a-z-]*)", text))
        for text in lines
        if (found := re.match(r"\.(?:Op )?Cm ([a-z -]+)\n", text))
    }
    assert set(written) - {"help"} == set(real)
    for name, found in real.items():
        missing = [sorted(names) for names in found if not names & written[name]]
        assert not missing and written[name] <= set().union(*found), name


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_shows_the_default_of_every_option_with_a_value(program):
    """Or says that there is none."""
    without = [
        sorted(names)
        for names, argument in options(program).items()
        if argument["kind"] == "option" and "default" not in argument["abstract"]
    ]
    assert not without


@pytest.mark.parametrize("program", ["mnedc-ctl", "mnedc-peers"])
def test_man_page_and_help_agree_on_the_commands(program):
    """Each is described."""
    command = json.loads(run(program, "--experimental-dump-help").stdout)["command"]
    real = {each["commandName"] for each in command["subcommands"]} | {"help"}
    described = section(page(program), "DESCRIPTION")
    assert {head.split()[0] for head in items(described, "Cm")} == real


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", COMPLETIONS)
def test_completions_are_what_the_programs_generate(program, shell):
    """Else `make completions` brings them up to date."""
    stored = (REPOSITORY / "completions" / COMPLETIONS[shell].format(program)).read_text()
    assert stored == run(program, "--generate-completion-script", shell).stdout, "outdated; run 'make completions'"


# --- Exit statuses ---


def test_the_man_pages_list_exit_statuses_that_there_are():
    """No page has another, and each status is in some page."""
    real = set(re.findall(r"case \w+ = (\d+)", source("CommandLine/ExitStatus.swift")))
    listed = {
        program: set(re.findall(r"^\.It (\S+)$", section(page(program), "EXIT STATUS"), re.MULTILINE))
        for program in PROGRAMS
    }
    for program, statuses in listed.items():
        assert {"0", "64"} <= statuses <= real, program
    assert set().union(*listed.values()) == real


# --- Configuration ---


def manual_keys():
    text = (REPOSITORY / "man" / "mnedc.yaml.5").read_text()
    subsections = ["All programs", "The section metrics", "The section join", "The section relay"]
    entries = {head: body for title in subsections for head, body in items(section(text, title), "Cm").items()}
    return {head.split()[0]: body for head, body in entries.items()}


def settings_in_force(*options):
    """{key: text} as mnedcd --check prints them."""
    found, inside = {}, ""
    for line in run("mnedcd", "--check", *options).stdout.splitlines():
        name, _, value = line.strip().partition(":")
        if line.startswith(" "):
            found[f"{inside}.{name}"] = value.strip().strip('"')
        elif value:
            found[name] = value.strip().strip('"')
        else:
            inside = name
    return found


def schema():
    """{key: "reload" or "restart"}, from the table that the programs are built with."""
    return dict(line.split() for line in run("config-keys").stdout.splitlines())


def test_the_manual_of_the_configuration_has_exactly_the_keys_of_the_table():
    """No key is missing, and none is too many."""
    assert set(manual_keys()) == set(schema())


def test_the_manual_of_the_configuration_marks_what_a_reload_takes_over():
    """As the table has it."""
    marked = {key for key, body in manual_keys().items() if ".Em Reloadable" in body}
    assert marked == {key for key, uptake in schema().items() if uptake == "reload"}


def test_the_manual_of_the_configuration_has_the_defaults_in_force(tmp_path):
    """What --check prints of an empty file."""
    empty = tmp_path / "empty.yaml"
    empty.touch()
    documented = {key: value for key, body in manual_keys().items() if (value := default(body))}
    assert documented == settings_in_force("--config", empty)


def examples():
    """(where, text) of every configuration in examples/, the README and the man page."""
    found = [(path.name, path.read_text()) for path in EXAMPLES]
    readme = (REPOSITORY / "README.md").read_text()
    found += [("README.md", text) for text in re.findall(r"^```yaml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)]
    manual = section((REPOSITORY / "man" / "mnedc.yaml.5").read_text(), "EXAMPLES")
    found += [("mnedc.yaml.5", text) for text in re.findall(r"^\.Bd .*?\n(.*?)^\.Ed", manual, re.MULTILINE | re.DOTALL)]
    return found


@pytest.mark.parametrize("where, text", examples())
@pytest.mark.parametrize("program", ["mnedcd", "mnedc-join"])
def test_example_configurations_are_right(tmp_path, program, where, text):
    """--check finds nothing wrong with them."""
    config = tmp_path / "mnedc.yaml"
    config.write_text(text)
    # A file for a relay alone names no server, without which no device joins.
    server = ["--server", "relay.example"] if program == "mnedc-join" else []
    done = run(program, "--config", config, *server, "--check", check=False)
    assert done.returncode == 0, f"{where}: {done.stderr}"


# --- JSON ---


def test_the_man_pages_have_exactly_the_keys_of_the_reports():
    """No key is without a word, and no word without a key. What has a version is a whole report."""
    structs = re.finditer(r"^public struct (\w+).*?^}", report_sources(), re.MULTILINE | re.DOTALL)
    whole = {each[1] for each in structs if "JSONVersion()" in each[0]}
    peers = {"PeersReport", "PeerEventReport", "PingReport"}
    assert peers < whole and len(whole) > 15
    for program, reports in (("mnedc-peers", peers), ("mnedc-ctl", whole - peers - {"DiagnosticsReport"})):
        assert documented_keys(program) == set().union(*map(keys_of, reports)), program


def test_every_key_that_real_programs_print_is_documented(flat):
    """Of a relay and a device, while they are joined, silent, and apart."""
    lab = flat(2)
    running = lab.start_all("--config", keepalive(lab, "500ms"))
    device = lab["d1"]
    labs.until(lambda: "round_trip_ms" in lab.relay.status()["relay"]["sessions"][1], "an echo is measured")
    printed = {"mnedc-ctl": set(), "mnedc-peers": set()}

    def collect(node):
        printed["mnedc-ctl"] |= printed_keys(node.status())
        printed["mnedc-peers"] |= printed_keys(json.loads(node.mnedc("mnedc-peers", "--json").stdout))

    collect(lab.relay), collect(device)
    for command in (
        ["invite", "--device-id", "x"],
        ["invites"],
        ["pending"],
        ["devices"],
        ["key"],
        ["leases"],
        ["revoke", "d2"],
    ):
        printed["mnedc-ctl"] |= printed_keys(json.loads(lab.relay.mnedc("mnedc-ctl", *command, "--json").stdout))
    printed["mnedc-ctl"] |= printed_keys(json.loads(device.mnedc("mnedc-ctl", "key", "--json").stdout))
    running["relay"].kill()
    labs.until(lambda: device.status()["device"]["state"] == "connecting", "the device notices")
    collect(device)
    for program, keys in printed.items():
        assert keys <= documented_keys(program)
    assert "last_error" in printed["mnedc-ctl"] and "outer_address" in printed["mnedc-peers"]


def keepalive(lab, time):
    config = lab.directory / "keepalive.yaml"
    config.write_text(f"relay: {{keepalive: {time}}}\n")
    return config


def control_schema():
    """The table of control commands, which Tests/ControlSchema prints."""
    directory = labs.programs(["control-schema"])
    if directory is None:
        pytest.skip("control-schema is not built; 'swift build', or BUILD=DIRECTORY")
    return json.loads(subprocess.run([directory / "control-schema"], stdout=subprocess.PIPE, check=True).stdout)


def test_the_man_page_of_the_local_socket_has_every_command_and_member():
    """Those of other commands are the other tool's, whose own page has them; and the limits are the same everywhere."""
    text = section(page("mnedc-ctl"), "THE LOCAL SOCKET")
    documented = {}
    for item in text.partition(".Bl -bullet\n")[2].partition("\n.El")[0].split(".It\n")[1:]:
        head, _, body = item.partition(":")
        for name in re.findall(r"^\.Cm ([a-z-]+)(?: ,| :)?$", head + ":", re.MULTILINE):
            documented[name] = set(re.findall(r"^\.(?:Pq )?Li ([a-z_]+)", body, re.MULTILINE))
    peers = section(page("mnedc-peers"), "LOCAL SOCKET")
    schema = control_schema()
    wanted = {each["name"]: set(each["members"]) for each in schema["commands"] if each["members"]}
    for name in ("fetch", "show", "ping"):
        assert f".It Li {name}\n" in peers and all(member in peers for member in wanted.pop(name))
    # Of announce, those of what is in its lists, too.
    assert documented.keys() == wanted.keys()
    assert all(wanted[name] <= documented[name] for name in wanted)
    assert all(wanted[name] == documented[name] for name in wanted.keys() - {"announce", "rotate-key"})
    size = schema["maximum_request"]
    assert f"{size} bytes" in text and f"{size} bytes" in peers
    assert f"{size >> 10} KiB a request" in page("mnedcd")


def test_the_man_page_says_who_may_use_each_command_and_which_daemons_have_it():
    """The commands of a relay stand in a list of their own; two commands ask for several things, or for none."""
    common, _, relay = section(page("mnedc-ctl"), "DESCRIPTION").partition("The following need a relay")
    documented = {
        (re.match(r"[a-z-]+(?: (?:pin|free))?", head.replace(" Cm", ""))[0], daemons, "Any user may run" in body)
        for daemons, text in (("both", common), ("relay", relay))
        for head, body in items(text, "Cm").items()
    }
    wanted = {
        (each["typed"].removeprefix("mnedc-ctl "), each["daemons"], each["audience"] == "everybody")
        for each in control_schema()["commands"]
        if each["typed"].startswith("mnedc-ctl ")
    }
    assert documented - {("help", "relay", False)} == wanted | {("netcheck", "both", True), ("report", "both", True)}


# --- Protocol ---


def test_the_protocols_page_has_every_frame_type_message_and_code():
    """Numbers and names, as Sources/Wire has them."""
    text = protocol_page()
    frames, messages, refusal = (source(f"Wire/{name}.swift") for name in ("Frame", "ControlMessage", "JoinMessages"))
    types = re.search(r"enum FrameType.*?^}", frames, re.MULTILINE | re.DOTALL)[0]
    table = dict(re.findall(r"^\.It (\d+) Ta ([a-z-]+)", section(text, "FRAMES"), re.MULTILINE))
    assert table == {number: hyphened(name) for name, number in re.findall(r"case (\w+) = (\d+)", types)}
    kinds = re.search(r"enum Kind\b.*?^  }", messages, re.MULTILINE | re.DOTALL)[0]
    names = ", ".join(re.findall(r"^    case ([\w, ]+)", kinds, re.MULTILINE)).split(", ")
    assert {hyphened(name.strip()) for name in names} == set(documented_messages(text))
    codes = re.search(r"enum Code.*?isPassing", refusal, re.MULTILINE | re.DOTALL)[0]
    real = {value or name for name, value in re.findall(r'case (\w+)(?: = "([a-z-]+)")?\n', codes)}
    documented = items(section(text, "refused").partition("The codes:")[2], "Cm")
    assert set(documented) == real
    passing = re.findall(r"\.(\w+)", re.search(r"isPassing: Bool \{.*?case (.*?): true", refusal, re.DOTALL)[1])
    assert {code for code, body in documented.items() if ".Em Passing" in body} == set(map(hyphened, passing))
    assert f"protocol between MNEDC devices and their relay, version {version(messages)}" in text


def protocol_page():
    return (REPOSITORY / "man" / "mnedc-protocol.7").read_text()


def hyphened(name):
    return re.sub(r"(?=[A-Z])", "-", name).lower()


def version(messages):
    return re.search(r"let protocolVersion: UInt8 = (\d+)", messages)[1]


def section_with_subsections(text, title):
    return re.search(rf"^\.Sh {title}\n(.*?)(?=^\.Sh |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def documented_messages(text):
    return re.findall(r"^\.Ss ([a-z-]+)$", section_with_subsections(text, "CONTROL MESSAGES"), re.MULTILINE)


def literals(text):
    """What stands between .Bd -literal and .Ed."""
    return re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.MULTILINE | re.DOTALL)


def test_the_protocols_page_shows_every_message():
    """Examples in its own section: JSON, together with the members that the section lists."""
    text = protocol_page()
    for name in documented_messages(text):
        examples = [json.loads(each) for each in literals(section(text, name)) if each.startswith("{")]
        listed = section(text, name).partition("The codes:")[0]
        members = {member for head in items(listed, "Cm") for member in re.findall(r"[a-z_0-9]+", head)}
        assert examples and all(example.pop("type") == name for example in examples)
        assert set().union(*examples) == members - ({"since", "dismissed", "partial"} if name == "peers" else set())


def protocol_examples():
    """The frames in EXAMPLES: (type, stated length, payload)."""
    shown = literals(section_with_subsections(protocol_page(), "EXAMPLES"))
    frames = [bytes.fromhex(each) for each in shown if re.match(r"0[1-6] 00 00 .. (.. ){7}..\n", each)]
    return [(frame[0], int.from_bytes(frame[1:4]), frame[12:]) for frame in frames]


def test_the_protocols_examples_have_the_lengths_that_they_say():
    """Each frame's header states the bytes behind it."""
    found = protocol_examples()
    assert [kind for kind, _, _ in found] == [1, 1, 1, 2, 5, 4, 4, 3, 3, 3]
    for kind, length, payload in found:
        assert length == len(payload), kind


def test_the_protocols_examples_open_with_the_keys_that_they_show():
    """The sealed ones hold what the page says."""
    ciphers = pytest.importorskip("cryptography.hazmat.primitives.ciphers.aead")
    shown = literals(section_with_subsections(protocol_page(), "EXAMPLES"))
    keys = [bytes.fromhex(each) for each in shown if re.fullmatch(r"(.. ){15}..\n.*\n\n(.. ){15}..\n.*\n", each)]
    (up, down), (out, _) = ((both[:32], both[32:]) for both in keys)
    texts = [json.loads(each) for each in shown if each.startswith("{")]
    (record,) = (bytes.fromhex(each) for each in shown if each.startswith("00 00 00 28\n"))
    *_, welcome, ping, _, _, data, empty, challenge = protocol_examples()

    def opened(frame, key, cipher=ciphers.ChaCha20Poly1305):
        kind, length, payload = frame
        header = (kind << 24 | length).to_bytes(4) + bytes(8)
        return cipher(key).decrypt(bytes(12), payload, header)

    def opened_by_peer(frame):
        _, _, payload = frame
        return ciphers.AESGCM(out).decrypt(b"\0" + payload[5:16], payload[16:], payload[:16])

    assert json.loads(opened(welcome, down)) == texts[1]
    assert opened(ping, up) == bytes(range(1, 9))
    assert opened_by_peer(data) == record and opened_by_peer(empty) == b""
    assert opened_by_peer(challenge) == b"\x01" + bytes(7) + bytes(range(1, 9))


# --- Pages and README ---


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_mandoc_has_nothing_to_say_about_a_page(path):
    """No warning and no error."""
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "utf8"])
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_terminal_of_80_columns_has_room_for_a_page(path, encoding):
    """For every line of it; and what .Dl shows, which would go on in the next one, has room in its line."""
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    command = ["mandoc", "-T", encoding, "-O", "width=78", path]
    shown = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    # A letter is struck twice where it is bold, or over a line.
    lines = re.sub(".\b", "", shown).splitlines()
    assert not [line for line in lines if len(line) > 78]
    for line in re.findall(r"^\.Dl (.*)$", path.read_text(), re.MULTILINE):
        assert line.replace("\\&", "") in map(str.strip, lines)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_refer_to_pages_that_there_are(path):
    """Of the suite's own; and what a page is called is where it is."""
    text = path.read_text()
    names = {page.name for page in PAGES}
    for name, number in re.findall(r"^\.Xr (mnedc\S*) (\d)", text, re.MULTILINE):
        assert f"{name}.{number}" in names
    assert f".Dt {path.stem.upper()} {path.suffix[1:]}\n" in text


def test_every_page_has_its_sections():
    """Those of a program, and those of the rest."""
    common = ["NAME", "DESCRIPTION", "SEE ALSO"]
    for path in PAGES:
        titles = re.findall(r"^\.Sh (.+)$", path.read_text(), re.MULTILINE)
        wanted = common + ["QUICK START" if path.stem == "mnedc" else "EXAMPLES"]
        wanted += ["SYNOPSIS", "FILES", "EXIT STATUS"] if path.stem in PROGRAMS else []
        assert set(wanted) <= set(titles), path.name


def test_the_readme_names_goals_files_and_pages_that_there_are():
    """`make demo`, examples/nat-lab.sh, mnedcd(8); in at most 10 KB."""
    text = (REPOSITORY / "README.md").read_text()
    assert len(text.encode()) <= 10240
    goals = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"(?:`|^    |(?:&&|sudo) )make ([a-z]+)", text, re.MULTILINE))
    assert {"demo", "check", "bench"} <= used <= goals
    for path in re.findall(r"`((?:examples|Tests|Sources|completions)/[\w./-]*)|\]\((\w[\w./]*)\)", text):
        assert (REPOSITORY / "".join(path)).exists(), path
    for name, number in re.findall(r"\b(mnedc[\w.-]*)\((\d)\)", text):
        assert (REPOSITORY / "man" / f"{name}.{number}").exists(), name


def test_the_drawing_of_the_modules_is_that_of_the_manifest(tmp_path):
    """Sources/README.md draws each import that no other import implies, and has a row for each module."""
    # In a place of its own, so that it need not wait for a build.
    dump = ["swift", "package", "--package-path", REPOSITORY, "--scratch-path", tmp_path, "dump-package"]
    targets = json.loads(subprocess.run(dump, capture_output=True, check=True, timeout=300).stdout)["targets"]
    modules = {target["name"] for target in targets if (REPOSITORY / "Sources" / target["name"]).is_dir()}
    imports = {
        target["name"]: {each["byName"][0] for each in target["dependencies"] if "byName" in each} & modules
        for target in targets
        if target["name"] in modules
    }

    def below(module):
        return imports[module].union(*map(below, imports[module]))

    needed = {
        (module, each)
        for module in modules
        for each in imports[module]
        if not any(each in below(other) for other in imports[module])
    }
    text = (REPOSITORY / "Sources" / "README.md").read_text()
    drawn = re.findall(r"^  ([\w-]+) --> ([\w-]+)$", text, re.MULTILINE)
    assert sorted(drawn) == sorted(needed)
    listed = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    assert modules <= {name for cell in listed for name in re.findall(r"`([\w-]+)`", cell)}
    for path in re.findall(r"`((?:\w+/)+[\w+]+\.swift)`", text):
        assert (REPOSITORY / "Sources" / path).exists(), path


def test_the_changelog_begins_with_the_version_of_the_programs():
    """All four have the same; or with what is in none yet. Each released one has a date."""
    versions = {run(program, "--version").stdout.strip() for program in PROGRAMS}
    heads = re.findall(r"^## (.*)$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert len(versions) == 1 and heads[0].startswith(("[Unreleased]", f"[{min(versions)}]"))
    assert all(re.fullmatch(r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", head) for head in heads)
