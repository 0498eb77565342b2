//! The table of figures.

use std::fmt::Write as _;

/// One figure beside its baseline.
#[derive(Debug)]
struct Row {
    what: String,
    goal: String,
    carboy: String,
    baseline: String,
    compared: String,
}

/// Figures in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a figure, and shows it at once: a run takes minutes.
    pub(crate) fn add(
        &mut self,
        what: &str,
        goal: &str,
        carboy: &str,
        baseline: &str,
        compared: &str,
    ) {
        eprintln!("  {what}: {carboy} (baseline {baseline}, {compared}; goal {goal})");
        self.rows.push(Row {
            what: what.into(),
            goal: goal.into(),
            carboy: carboy.into(),
            baseline: baseline.into(),
            compared: compared.into(),
        });
    }

    /// Prints the table as Markdown.
    pub(crate) fn print(&self) {
        let mut text = String::from(
            "| what | goal | with Carboy | baseline | compared |\n|---|---:|---:|---:|---:|\n",
        );
        for row in &self.rows {
            let Row {
                what,
                goal,
                carboy,
                baseline,
                compared,
            } = row;
            writeln!(
                text,
                "| {what} | {goal} | {carboy} | {baseline} | {compared} |"
            )
            .expect("writing to memory does not fail");
        }
        println!("{text}");
    }
}
