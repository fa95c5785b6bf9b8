# Reloadly's quick start in Python, with its two URLs changed to those of topup serve:
#   https://auth.reloadly.com/oauth/token        -> http://127.0.0.1:8080/oauth/token
#   https://topups-sandbox.reloadly.com/topups   -> http://127.0.0.1:8080/topups
# Client id and secret are the name of an API key and the key (topup key create).
import json
from urllib.request import Request, urlopen

values = {
    "client_id": "YOUR_CLIENT_ID",
    "client_secret": "YOUR_CLIENT_SECRET",
    "grant_type": "client_credentials",
    "audience": "https://topups-sandbox.reloadly.com",
}
headers = {"Content-Type": "application/json"}
request = Request("http://127.0.0.1:8080/oauth/token", data=json.dumps(values).encode(), headers=headers)
token = json.load(urlopen(request))["access_token"]

values = {
    "operatorId": 1100,
    "amount": 832,
    "useLocalAmount": False,
    "customIdentifier": "airtime-top-up",
    "recipientEmail": "jeanb@reloadly.com",
    "recipientPhone": {"countryCode": "AE", "number": "0503971821"},
    "senderPhone": {"countryCode": "CA", "number": "11231231231"},
}
headers = {
    "Authorization": "Bearer " + token,
    "Content-Type": "application/json",
    "Accept": "application/com.reloadly.topups-v1+json",
}
request = Request("http://127.0.0.1:8080/topups", data=json.dumps(values).encode(), headers=headers)
print(urlopen(request).read().decode())
