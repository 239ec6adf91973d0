"""The words the layouts are set with, and how typst is told to print them as they are."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[2] / "samples"

COMPOUNDS = (
    "The well-known editor-in-chief took a long-term view of the half-finished manuscript. "
    "Her self-assured manner and her old-fashioned, hand-written letters were state-of-the-art "
    "diplomacy in a post-war society. A nineteen-year-old apprentice, her son-in-law, thought "
    "the decision-making process over-complicated and the user-friendly tools under-used. "
    "Twenty-one non-linear problems were solved by a trial-and-error method; the cost-effective "
    "one was chosen for its low-budget, open-ended design. The north-east corner of the "
    "two-storey building held an X-ray machine, an air-conditioned archive and a water-resistant "
    "cupboard. Anglo-Saxon chronicles, Franco-German treaties and Jean-Claude's semi-official "
    "notes lay side by side on the far-reaching shelves. Extraordinary circumstances demanded "
    "understanding, imagination and considerable experience of international correspondence. "
    "Their grandchildren remembered particularly the unforgettable conversations about "
    "agriculture, architecture and astronomical instruments. High-quality, hard-working and "
    "good-natured people made a ready-made plan for a large-scale, real-time, multi-purpose "
    "re-examination of the so-called co-operative movement and its part-time, full-time and "
    "first-class members. "
)
GERMAN = (
    "Die Geschwindigkeitsbegrenzung auf der Autobahn bleibt eine Angelegenheit der öffentlichen "
    "Auseinandersetzung. Haupt- und Nebenstraßen, Ein- und Ausfahrten sowie Fuß- und Radwege "
    "wurden in den vergangenen Jahrzehnten fortwährend erweitert. Der CDU-Vorsitzende sprach mit "
    "dem EU-Kommissar über die Nord-Süd-Verbindung und den S-Bahn-Anschluss. Die "
    "Wissenschaftlerinnen untersuchten Lebensversicherungsgesellschaften, "
    "Krankenhausverwaltungen und landwirtschaftliche Genossenschaften. Ihre Untersuchungen "
    "ergaben, dass Verantwortungsbewusstsein und Zusammenarbeit entscheidend sind. Die "
    "Baden-Württembergische Landesregierung unterstützte das Forschungsvorhaben mit "
    "beträchtlichen Mitteln. Arbeitgeber- und Arbeitnehmerverbände begrüßten die Entscheidung. "
    "Das Online-Angebot der Volkshochschule umfasst Fremdsprachen, Gesundheitsbildung und "
    "berufliche Weiterbildung. Die Rhein-Main-Region und die Mecklenburg-Vorpommersche Küste "
    "gehören zu den beliebtesten Reisezielen. "
)
FRENCH = (
    "Le développement économique des collectivités territoriales représente aujourd'hui une "
    "préoccupation considérable. Peut-être faudrait-il reconnaître que les administrations "
    "publiques, c'est-à-dire les établissements départementaux, travaillent au-delà de leurs "
    "possibilités. Y a-t-il une solution satisfaisante ? Les quatre-vingt-dix-neuf représentants "
    "du sous-comité se sont rencontrés l'après-midi à Saint-Germain-en-Laye. Celui-ci, "
    "au-dessous de la moyenne, comprend néanmoins des arrière-pensées. Les grands-parents "
    "racontaient volontiers leurs souvenirs extraordinaires d'avant-guerre, pendant que les "
    "petits-enfants applaudissaient joyeusement. L'enseignement supérieur, l'environnement et "
    "l'agriculture constituent les responsabilités principales du gouvernement. Dites-moi "
    "pourquoi cette réglementation est-elle incompréhensible. "
)
SPANISH = (
    "El desarrollo económico de las comunidades autónomas representa actualmente una "
    "preocupación considerable para los ciudadanos. Los investigadores universitarios "
    "comprobaron que la responsabilidad compartida y el entendimiento mutuo fortalecen las "
    "instituciones democráticas. El acuerdo franco-español, de carácter teórico-práctico, fue "
    "recibido con extraordinario entusiasmo. Las organizaciones internacionales recomendaron "
    "inmediatamente una transformación profunda de la infraestructura ferroviaria. Los "
    "representantes parlamentarios expresaron públicamente su agradecimiento y prometieron "
    "aprovechar la oportunidad para mejorar el abastecimiento de medicamentos. "
)
PORTUGUESE = (
    "O desenvolvimento sustentável das comunidades rurais depende fundamentalmente da participação "
    "dos habitantes. Disse-lhe que os trabalhadores especializados se encontravam na segunda-feira "
    "para discutir a reconstrução do guarda-chuva gigante do parque. Os investigadores "
    "demonstraram que a responsabilidade compartilhada aumenta consideravelmente a confiança. "
)
ITALIAN = (
    "Lo sviluppo economico delle comunità montane rappresenta attualmente una preoccupazione "
    "considerevole per gli amministratori. I ricercatori universitari hanno dimostrato che la "
    "responsabilità condivisa rafforza notevolmente le istituzioni democratiche e permette di "
    "affrontare le trasformazioni dell'agricoltura e dell'artigianato contemporaneo. "
)
JAPANESE = (
    "望遠鏡で夜空を見ることは、忍耐を必要とする趣味である。初めて星雲を観察した人は、写真のよう"
    "な色が見えないことに驚くかもしれない。しかし、暗い場所で目を慣らせば、淡い光の広がりが少し"
    "ずつ浮かび上がってくる。観察の記録をノートに書き残しておくと、次の夜に役立つだろう。"
)


def markdown(name: str) -> list[tuple[int, str]]:
    """A sample's blocks: their heading level (0: a paragraph) and text."""
    found = []
    for block in (SAMPLES / f"{name}.md").read_text(encoding="utf-8").split("\n\n")[1:]:
        marks, _, rest = block.strip().partition(" ")
        if block.strip() and not block.startswith(("|", "[")):
            found.append((len(marks) - 1, rest) if set(marks) == {"#"} else (0, block.strip()))
    return found


def english(n: int, start: int = 0) -> list[str]:
    """That many paragraphs of English prose, the same ones again where they run out."""
    texts = [text for level, text in markdown("handbook-en") if not level]
    return list(itertools.islice(itertools.cycle(texts), start, start + n))


def chinese(n: int) -> list[str]:
    texts = [text for level, text in markdown("chinese-zh") if not level]
    return list(itertools.islice(itertools.cycle(texts), n))


def string(text: str) -> str:
    """A typst string literal, so that what is written is what is printed."""
    return json.dumps(text, ensure_ascii=False)
