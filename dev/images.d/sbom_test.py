"""Tests that the bills of materials list the linked packages and their licences. R06. Run by `dev/images check`."""
import unittest

import sbom


class Bills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bills = dict(sbom.bills())

    def test_one_for_each_image_that_holds_a_program(self):
        self.assertEqual(set(self.bills), {"api", "worker", "scheduler", "simulator", "worker-simulator", "demo"})

    def test_agpl_is_where_it_is_linked_and_nowhere_else(self):
        for image, bill in self.bills.items():
            agpl = {c["name"] for c in bill["components"] if "AGPL" in c.get("licenses", [{"expression": ""}])[0]["expression"]}
            combined = image in ("worker", "simulator", "worker-simulator")
            self.assertEqual(agpl, {"wacore-libsignal"} if combined else set(), image)
            whole = bill["metadata"]["component"]["licenses"][0]["expression"]
            self.assertEqual(whole, "Apache-2.0 AND AGPL-3.0-only" if combined else "Apache-2.0", image)

    def test_everything_has_a_licence_and_a_checksum(self):
        for bill in self.bills.values():
            for item in bill["components"]:
                if item["type"] == "library":
                    self.assertNotIn(item["licenses"][0]["expression"], ("", "NOASSERTION"), item["name"])
                    if "purl" in item:
                        self.assertRegex(item["hashes"][0]["content"], "^[0-9a-f]{64}$")

    def test_what_is_named_is_there_once(self):
        for bill in self.bills.values():
            refs = [bill["metadata"]["component"]["bom-ref"], *(c["bom-ref"] for c in bill["components"])]
            self.assertEqual(len(refs), len(set(refs)))
            for edge in bill["dependencies"]:
                self.assertLessEqual({edge["ref"], *edge["dependsOn"]}, set(refs))

    def test_tools_of_the_build_are_not_linked(self):
        for bill in self.bills.values():
            names = {c["name"] for c in bill["components"]}
            self.assertFalse(names & {"syn", "proc-macro2", "proptest", "stateright", "rrule"})
            self.assertTrue({"tokio", "store"} & names)

    def test_a_tree_is_read_with_what_stood_above(self):
        lines = ["0 a v1.0.0 (/x)", "1 b v2.0.0", "2 c v3.0.0", "1 c v3.0.0", "", "0 d v1.0.0", "1 b v2.0.0 (*)"]
        edges = sbom.graph(lines)
        self.assertEqual(edges[("a", "1.0.0")], {("b", "2.0.0"), ("c", "3.0.0")})
        self.assertEqual(sbom.closure(edges, [("d", "1.0.0")]), {("d", "1.0.0"), ("b", "2.0.0"), ("c", "3.0.0")})


if __name__ == "__main__":
    unittest.main()
