"""A small framework over the v1 scheduler API, in JSON, for end-to-end tests.

It finds the leader by asking each master (redirects are not followed: a
non-leader is passed over), reads the event stream on a thread, acknowledges
updates, and keeps everything it was told.
"""
import http.client
import json
import queue
import socket
import threading
import time


class Framework:
    def __init__(self, masters, name, failover_timeout=300.0, checkpoint=True,
                 timeout=30.0):
        self.masters = list(masters)  # [(ip, port)]
        self.timeout = timeout  # of one call
        self.info = {
            "user": "root",
            "name": name,
            "roles": ["*"],
            "capabilities": [
                {"type": "MULTI_ROLE"},
                {"type": "RESERVATION_REFINEMENT"},
                {"type": "PARTITION_AWARE"},
                {"type": "TASK_KILLING_STATE"},
            ],
            "failover_timeout": failover_timeout,
            "checkpoint": checkpoint,
        }
        self.id = None
        self.events = queue.Queue()
        self.updates = []  # every TaskStatus, in order of arrival
        self.offers = {}
        self.leader = None
        self.stream_id = None
        self._connection = None

    def subscribe(self, timeout=60.0):
        """Subscribes at whichever master leads; returns (ip, port)."""
        deadline = time.monotonic() + timeout
        last = "no master asked"
        while time.monotonic() < deadline:
            for master in self.masters:
                try:
                    last = self._try(master)
                except (OSError, http.client.HTTPException) as error:
                    last = "%s:%d: %s" % (master[0], master[1], error)
                if last is None:
                    return self.leader
            time.sleep(0.1)
        raise AssertionError("no leader took the subscription: %s" % last)

    def _try(self, master):
        body = {"type": "SUBSCRIBE",
                "subscribe": {"framework_info": dict(self.info)}}
        if self.id:
            body["framework_id"] = {"value": self.id}
            body["subscribe"]["framework_info"]["id"] = {"value": self.id}
        connection = http.client.HTTPConnection(*master, timeout=self.timeout)
        connection.request(
            "POST", "/api/v1/scheduler", json.dumps(body),
            {"Content-Type": "application/json", "Accept": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            connection.close()
            return "%s:%d: %d" % (master[0], master[1], response.status)
        # Heartbeats come every 15 s.
        connection.sock.settimeout(30)
        first = read_record(response)
        if first is None or first["type"] != "SUBSCRIBED":
            connection.close()
            return "%s:%d: %r" % (master[0], master[1], first)
        self.id = first["subscribed"]["framework_id"]["value"]
        self.leader = master
        self.stream_id = response.getheader("Mesos-Stream-Id")
        self.offers = {}
        self._connection = connection
        threading.Thread(target=self._read, args=(connection, response),
                         daemon=True).start()
        return None

    def _read(self, connection, response):
        try:
            while True:
                event = read_record(response)
                if event is None:
                    break
                self._on_event(event)
        except (OSError, ValueError, http.client.HTTPException):
            pass
        connection.close()
        if connection is self._connection:
            self.events.put({"type": "DISCONNECTED"})

    def _on_event(self, event):
        if event["type"] == "OFFERS":
            for offer in event["offers"]["offers"]:
                self.offers[offer["id"]["value"]] = offer
        elif event["type"] == "RESCIND":
            self.offers.pop(event["rescind"]["offer_id"]["value"], None)
        elif event["type"] == "UPDATE":
            status = event["update"]["status"]
            self.updates.append(status)
            if "uuid" in status:
                self.call({"type": "ACKNOWLEDGE", "acknowledge": {
                    "agent_id": status["agent_id"],
                    "task_id": status["task_id"],
                    "uuid": status["uuid"]}})
        self.events.put(event)

    def call(self, body):
        """Sends one call to the leader; returns the HTTP status."""
        body = dict(body, framework_id={"value": self.id})
        connection = http.client.HTTPConnection(*self.leader,
                                                timeout=self.timeout)
        try:
            connection.request(
                "POST", "/api/v1/scheduler", json.dumps(body),
                {"Content-Type": "application/json",
                 "Mesos-Stream-Id": self.stream_id})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None  # The leader is gone: the stream's end tells.
        finally:
            connection.close()

    def await_event(self, wanted, timeout=60.0):
        """The first event for which wanted(event); drops those before it."""
        deadline = time.monotonic() + timeout
        seen = []
        while True:
            try:
                event = self.events.get(
                    timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError("event did not come; saw %s" % seen)
            seen.append(event["type"])
            if wanted(event):
                return event

    def await_state(self, task_id, state, timeout=60.0):
        """The status that says so, also if it came earlier."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for status in list(self.updates):
                if (status["task_id"]["value"] == task_id
                        and status["state"] == state):
                    return status
            time.sleep(0.02)
        raise AssertionError("%s did not reach %s; updates: %s" % (
            task_id, state, self.states(task_id)))

    def states(self, task_id):
        return [s["state"] for s in self.updates
                if s["task_id"]["value"] == task_id]

    def launch(self, task_id, command, cpus=0.1, mem=32, timeout=60.0):
        """Launches a shell command on the first offer that suffices."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for offer_id, offer in list(self.offers.items()):
                if scalar(offer, "cpus") >= cpus and scalar(offer, "mem") >= mem:
                    del self.offers[offer_id]
                    status = self.launch_on(
                        offer, [(task_id, command, cpus, mem)])
                    assert status == 202, status
                    return offer["agent_id"]["value"]
            time.sleep(0.02)
        raise AssertionError("no offer with cpus %s mem %s" % (cpus, mem))

    def launch_on(self, offer, tasks):
        """Launches (id, command, cpus, mem) each; returns the HTTP status."""
        def resource(name, value):
            return {"name": name, "type": "SCALAR", "scalar": {"value": value},
                    "allocation_info": {"role": "*"}}
        return self.call({"type": "ACCEPT", "accept": {
            "offer_ids": [offer["id"]],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": [{
                "name": task_id,
                "task_id": {"value": task_id},
                "agent_id": offer["agent_id"],
                "resources": [resource("cpus", cpus), resource("mem", mem)],
                "command": {"shell": True, "value": command},
            } for task_id, command, cpus, mem in tasks]}}],
            "filters": {"refuse_seconds": 0.0}}})

    def close(self):
        """Ends the event stream."""
        if self._connection is not None and self._connection.sock:
            try:
                self._connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def scalar(offer, name):
    return sum(r["scalar"]["value"] for r in offer["resources"]
               if r["name"] == name)


def read_record(response):
    """One RecordIO record, decoded; None at the end of the stream."""
    length = b""
    while True:
        byte = response.read(1)
        if not byte:
            return None
        if byte == b"\n":
            break
        length += byte
    data = response.read(int(length))
    return json.loads(data)


def get_json(address, path, timeout=10.0):
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, (path, response.status, body)
        return json.loads(body)
    finally:
        connection.close()
