"""Texts in English, and in other languages."""

from __future__ import annotations

import pytest

from toolret.text.english import is_in_another_language


@pytest.mark.parametrize(
    "text",
    [
        "根据起终点坐标规划驾车出行路线, API v3, the route is JSON",
        "Отменяет заказ",
        "일정 추가",
        "Annule une commande qui n'a pas encore été expédiée et rembourse le client.",
        "Storniert eine Bestellung, die noch nicht versandt wurde, und erstattet den Betrag.",
        "Cancela un pedido que todavía no se ha enviado y devuelve el dinero al cliente.",
        "Annuleert een bestelling die nog niet is verzonden en betaalt de klant terug.",
    ],
)
def test_another_language(text: str) -> None:
    assert is_in_another_language(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42 %",
        "Cancels an order that has not shipped and gives the customer the money back.",
        "Crédits café à Zürich",  # too short to tell
        "Compress a file with xz, lzma, gzip, bzip2, lzop or zstd",
        "Converts gml2gv, gv2gml, gv2gxl, gxl2gv, gxl_to_gv, /usr/gml/gv and a@gv.example",
        "The mean μ and the limit ε of λ",
        "Kubernetes Deployment ReplicaSet DaemonSet StatefulSet CronJob Ingress ConfigMap",
    ],
)
def test_english(text: str) -> None:
    assert not is_in_another_language(text)
