//! `carboy demo` and `carboy selftest`, as a user runs them.

use serde_json::Value;

use crate::support::{Place, bottles_work, everyone, expect_code, stdout};

#[test]
fn the_demo_goes_as_told() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let output = Place::new(who).carboy().arg("demo").output().unwrap();
        expect_code(&output, 0);
        let story = stdout(&output);
        assert_eq!(story.matches("  yes  ").count(), 4, "{story}");
        assert!(story.contains("chain of"), "{story}");
    }
}

#[test]
fn programs_read_what_came_of_the_demo() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let place = Place::new(who);
        let mut demo = place.carboy();
        let output = demo.args(["demo", "--format", "json"]).output().unwrap();
        expect_code(&output, 0);
        let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let claims = told["outside"].as_array().unwrap();
        assert_eq!(claims.len(), 4, "{told}");
        assert!(claims.iter().all(|own| own["holds"] == true), "{told}");
        assert!(
            told["receipts"].as_str().unwrap().contains("chain of"),
            "{told}"
        );
    }
}

#[test]
fn nothing_gets_out_of_the_selftests_bottle() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let place = Place::new(who);
        let output = place
            .carboy()
            .args(["selftest", "--format", "json"])
            .output()
            .unwrap();
        expect_code(&output, 0);
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(report["passed"], true, "{report}");
        let probes = report["probes"].as_array().unwrap();
        let count = |got: &str| probes.iter().filter(|probe| probe["got"] == got).count();
        assert_eq!(
            count("passed"),
            2,
            "the controls, and only they, pass: {report}"
        );
        assert!(count("blocked") > 35, "{report}");
        let leftovers = std::fs::read_dir(place.path("home")).unwrap().count();
        // The demo and the selftest keep their own state aside.
        assert_eq!(
            leftovers, 0,
            "the planted file stayed in the home directory"
        );
    }
}
