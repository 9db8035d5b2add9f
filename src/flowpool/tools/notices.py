"""Tells a page that shows only a notice, and has scripts to write its text, from one that is short.

A refusal costs the page, so each sentence must be a known notice, or the page's title beside one. What is in doubt
is text. Knows lxml's trees, not markdown or HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowpool.tools.main_content import Element, Stretch, text_runs

# Characters of text above which a page has something to say.
_MOST = 1000
# Characters of a script that are looked at: what tells of a check stands early.
_HEAD = 20_000
WRITTEN_BY_SCRIPTS = (
    "its scripts write it in a browser, and none are run; give the HTML that a browser has then"
)
_REASONS = {
    "check": "no text in it but a check of the browser: the site lets only browsers in; "
    "give the HTML that one has then",
    "loading": f"no text in it but a loading notice: {WRITTEN_BY_SCRIPTS}",
    "script": f"no text in it but that it needs JavaScript: {WRITTEN_BY_SCRIPTS}",
    "cookies": f"no text in it but a cookie notice: {WRITTEN_BY_SCRIPTS}",
    "mount": f"no text in it but its title: {WRITTEN_BY_SCRIPTS}",
}
# Notices that a page with something to say doesn't show by themselves.
_PLAIN = ("check", "loading", "script")
_OR_AS_IT_IS = ", or take the page as it is with main_content=False."
_IGNORE = re.IGNORECASE
_SENTENCES = re.compile(r"(?<=[…。！])\s*|(?<=[.!?])\s+|\n+")
# fmt: off
_THING = r"(?:the |this |your |our )?(?:page|app|application|content|data|articles?|site|website|more|results)"
_LOADING = re.compile(
    rf"(?:please wait[,.…]* ?)?(?:(?:is )?loading(?: {_THING})?|redirecting|just a moment|one moment|hold on|"
    rf"initiali[sz]ing|{_THING} is loading|please wait(?: while {_THING} (?:is )?loads?(?:ing)?)?|"
    r"(?:(?:die |der )?(?:seite |inhalt ))?wird geladen|lädt|bitte warten|chargement(?: en cours)?|"
    r"veuillez patienter|cargando|espere por favor|caricamento(?: in corso)?|attendere prego|carregando|a carregar|"
    r"ładowanie|yükleniyor|загрузка|読み込み中(?:です)?|加载中|載入中|로딩 ?중)"
    r"(?:,? please(?: wait)?)?[\s.…!。]*", _IGNORE,
)
_COOKIES = re.compile(
    r"\b(?:we|(?:web)?site|page|app|partners|wir|seite|nous|site web|sitio|noi|sito)\b[\w\s,]{0,60}?"
    r"\b(?:uses?|using|verwende[nt]|nutz(?:en|t)|utilis(?:e|ent|ons)|utiliza(?:mos)?|usamos?|usa|utilizz(?:a|iamo)|"
    r"gebruik(?:t|en))\b[\w\s,]{0,60}?\bcookies?\b"
    r"|\b(?:utilizamos|usamos|utilizziamo)\b[\w\s,]{0,40}?\bcookies?\b"
    r"|\b(?:by (?:continuing|using|clicking|browsing)|you (?:agree|consent))\b.{0,80}\bcookies?\b"
    r"|\baccept(?: all)? cookies\b", _IGNORE,
)
_SCRIPT = re.compile(
    r"(?:please |sorry,? )?(?:you (?:need|have) to |you must )?(?:enable|activate|turn on) javascript"
    r"(?: (?:and cookies )?(?:to (?:run|view|use|see|continue|proceed|load)|in your browser|and (?:reload|refresh))"
    r"\b.{0,80})?[.! ]*"
    r"|(?:we(?:'|’)re sorry,? but )?.{0,60} (?:doesn(?:'|’)t|does not|won(?:'|’)t|will not) (?:work|run)"
    r"(?: properly)? without javascript\b.{0,20}|please enable it to continue[.! ]*"
    r"|(?:this|our|the) (?:app|application|page|web ?page|site|website) (?:requires|needs) javascript\b.{0,60}"
    r"|javascript (?:is|must be) (?:required|disabled|enabled|not enabled)\b.{0,60}"
    r"|(?:bitte )?(?:aktivieren|aktiviere) (?:sie )?(?:bitte )?javascript\b.{0,60}", _IGNORE,
)
_LABEL = re.compile(
    r"(?:accept|allow|reject|decline|deny|refuse|agree|ok|okay|got it|close|learn more|more info(?:rmation)?|"
    r"read more|home|log ?in|sign ?(?:in|up)|skip to (?:main )?content|privacy|cookies?|terms|legal|imprint|"
    r"contact|settings|preferences|manage)(?: (?:all|only|necessary|cookies?|policy|notice|settings|preferences|"
    r"statement|options|of (?:use|service)|and conditions))*", _IGNORE,
)
_CHECK = re.compile(
    r"(?:please wait[,.…]* ?)?(?:while )?(?:we(?: are|'re|’re)? )?(?:check|verify|validat|review)(?:ing|e)? "
    r"(?:your (?:browser|connection|device|request)|if the site connection is secure|(?:that )?you(?: are|'re|’re) "
    r"(?:a )?(?:human|not a (?:ro)?bot))\b.{0,120}"
    r"|.{0,80}\bneeds to review the security of your connection\b.{0,40}"
    r"|this (?:process|check) is automatic.{0,80}|your browser will redirect\b.{0,80}"
    r"|please allow up to \d+ seconds.{0,20}|ddos protection by\b.{0,60}|(?:cloudflare )?ray id:?.{0,60}"
    r"|performance (?:&|and) security by\b.{0,40}|(?:please )?complete the (?:security check|captcha)\b.{0,80}"
    r"|(?:press (?:&|and) hold|are you a (?:ro)?bot|i(?: a|’|')m not a robot)\b.{0,60}", _IGNORE,
)
_CHECK_TITLE = re.compile(
    r"(?:just a moment|one moment,? please|please wait|attention required!?|ddos-guard|checking your browser"
    r"|verif(?:ying|y) (?:that )?you are (?:a )?human|human verification|security check(?:point)?"
    r"|vercel security checkpoint|pardon our interruption|client challenge|robot check|are you a robot)"
    r"[\s.…!?]*(?:\| ?cloudflare)?", _IGNORE,
)
_CHALLENGE = re.compile(
    r"/cdn-cgi/challenge-platform|_cf_chl_opt|_Incapsula_Resource|ddos-guard|perimeterx|px-captcha"
    r"|captcha-delivery|awswafintegration|awswaf\.com|challenges\.cloudflare\.com|kpsdk|/_vercel/security",
    _IGNORE,
)
_COOKIE_BOX = re.compile(
    r"(?:^|[\s_-])cookies?(?:[-_]?(?:banner|bar|notice|consent|law|popup|message|info|modal|dialog|wall|overlay|"
    r"warning|bot|yes))|gdpr|onetrust|(?:^|[\s_-])consent(?:$|[\s_-])", _IGNORE,
)
_MOUNTS = frozenset((
    "root", "app", "__next", "__nuxt", "___gatsby", "react-root", "app-root", "svelte", "main-app", "q-app",
))
# fmt: on
_COPYRIGHT = re.compile(r"(?:©|\(c\)|copyright\b).{0,80}", _IGNORE)
_OF_TITLE = re.compile(r"\s+[|–—·:-]+\s+")


def notice_instead(root: Element, body: Element) -> str:
    """What is wrong with the page `root` that shows a notice instead of its text; empty for any other page."""
    scripts = list(root.iter("script"))
    runs = text_runs(body)
    if not scripts or not runs or sum(run.size for run in runs) > _MOST:
        return ""
    title = " ".join(root.findtext(".//title", "").split())
    kind = "check" if _is_check(title, runs, scripts) else _kind(title, runs, root)
    return _REASONS[kind] + _OR_AS_IT_IS if kind else ""


def _is_check(title: str, runs: list[Stretch], scripts: list[Element]) -> bool:
    """Whether the page is one that is known to stand before a site."""
    if not _CHECK_TITLE.fullmatch(title):
        return False
    if "check" in _kinds(runs):
        return True
    return any(_CHALLENGE.search(f"{s.get('src') or ''} {(s.text or '')[:_HEAD]}") for s in scripts)


def _kind(title: str, runs: list[Stretch], root: Element) -> str:
    """The notice that the page shows, where it shows nothing else but its title, the year and buttons."""
    boxes = _cookie_boxes(runs)
    rest = [run for run in runs if run.block not in boxes]
    said = [run for run in rest if not _is_title(run, title)]
    kinds = _kinds(said)
    if "" in kinds:
        return ""
    if plain := [kind for kind in _PLAIN if kind in kinds]:
        return plain[0]
    if _is_unmounted(root):
        return "cookies" if boxes or kinds else "mount"
    is_shell = bool(boxes) or (bool(kinds) and _asks_for_scripts(root))
    return "cookies" if is_shell and said == rest else ""


def _kinds(runs: list[Stretch]) -> set[str]:
    return {_kind_of(sentence) for run in runs for sentence in _sentences(run)}


def _kind_of(sentence: str) -> str:
    if _LOADING.fullmatch(sentence):
        return "loading"
    if _CHECK.fullmatch(sentence):
        return "check"
    if _COOKIES.search(sentence):
        return "cookies"
    return "script" if _SCRIPT.fullmatch(sentence) else ""


def _sentences(run: Stretch) -> Iterator[str]:
    for sentence in _SENTENCES.split(run.text.strip()):
        if words := " ".join(sentence.split()):
            yield words


def _is_title(run: Stretch, title: str) -> bool:
    """Whether it is the page's title, the year, or the words of a button."""
    line = " ".join(run.text.split())
    if _COPYRIGHT.fullmatch(line) or (run.links == run.size and _LABEL.fullmatch(line)):
        return True
    named = {title, *_OF_TITLE.split(title)} - {""}
    return line.casefold() in {name.casefold() for name in named}


def _cookie_boxes(runs: list[Stretch]) -> set[Element]:
    """The blocks of the runs that stand in a box for a cookie notice, if one of them is one."""
    blocks = {run.block for run in runs if _is_in_cookie_box(run.block)}
    said = [run.text for run in runs if run.block in blocks]
    return blocks if any(_COOKIES.search(" ".join(text.split())) for text in said) else set()


def _is_in_cookie_box(block: Element) -> bool:
    around = (block, *block.iterancestors())
    boxes = [e for e in around if e.tag not in ("body", "html", "main", "article")]
    return any(_COOKIE_BOX.search(f"{e.get('id') or ''} {e.get('class') or ''}") for e in boxes)


def _is_unmounted(root: Element) -> bool:
    """Whether the page has room for what its scripts write, with no text in it but notices."""
    mounts = [e for e in root.iter("div", "main", "app-root") if _names_mount(e)]
    return any("" not in _kinds(text_runs(mount)) for mount in mounts)


def _names_mount(element: Element) -> bool:
    return element.tag == "app-root" or element.get("id") in _MOUNTS


def _asks_for_scripts(root: Element) -> bool:
    return any("javascript" in "".join(e.itertext()).lower() for e in root.iter("noscript"))
