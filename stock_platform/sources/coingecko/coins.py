"""CoinGecko's ids of the best known coins.

Belongs here: the table. Does not: any other coin: thousands share their letters, and
CoinGecko's own list would cost a request and not tell which of them is meant.
"""

from __future__ import annotations

IDS: dict[str, str] = {
    "AAVE": "aave", "ADA": "cardano", "ALGO": "algorand", "APT": "aptos", "ARB": "arbitrum",
    "ATOM": "cosmos", "AVAX": "avalanche-2", "AXS": "axie-infinity",
    "BAT": "basic-attention-token", "BCH": "bitcoin-cash", "BNB": "binancecoin",
    "BONK": "bonk", "BSV": "bitcoin-cash-sv", "BTC": "bitcoin", "CAKE": "pancakeswap-token",
    "CHZ": "chiliz", "COMP": "compound-governance-token", "CRO": "crypto-com-chain",
    "CRV": "curve-dao-token", "DAI": "dai", "DASH": "dash", "DOGE": "dogecoin",
    "DOT": "polkadot", "EGLD": "elrond-erd-2", "ENS": "ethereum-name-service", "EOS": "eos",
    "ETC": "ethereum-classic", "ETH": "ethereum", "FET": "fetch-ai", "FIL": "filecoin",
    "FLOW": "flow", "FTM": "fantom", "GRT": "the-graph", "HBAR": "hedera-hashgraph",
    "HYPE": "hyperliquid", "ICP": "internet-computer", "IMX": "immutable-x",
    "INJ": "injective-protocol", "IOTA": "iota", "KAS": "kaspa", "KSM": "kusama",
    "LDO": "lido-dao", "LEO": "leo-token", "LINK": "chainlink", "LTC": "litecoin",
    "MANA": "decentraland", "MATIC": "matic-network", "MKR": "maker", "NEAR": "near",
    "NEO": "neo", "OKB": "okb", "ONDO": "ondo-finance", "OP": "optimism", "PEPE": "pepe",
    "POL": "polygon-ecosystem-token", "QNT": "quant-network", "RUNE": "thorchain",
    "SAND": "the-sandbox", "SEI": "sei-network", "SHIB": "shiba-inu", "SNX": "havven",
    "SOL": "solana", "STX": "blockstack", "SUI": "sui", "THETA": "theta-token",
    "TIA": "celestia", "TON": "the-open-network", "TRX": "tron", "UNI": "uniswap",
    "USDC": "usd-coin", "USDT": "tether", "VET": "vechain", "WBTC": "wrapped-bitcoin",
    "XLM": "stellar", "XMR": "monero", "XRP": "ripple", "XTZ": "tezos", "ZEC": "zcash",
    "ZIL": "zilliqa",
}  # fmt: skip
