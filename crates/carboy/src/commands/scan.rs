//! `carboy scan`: the gate's detection over files, history and patches. Nothing is sent.

mod allowance;
mod archive;
mod baseline;
mod content;
mod exclusion;
mod git;
mod hook;
mod json;
mod packing;
mod patch;
mod progress;
mod report;
mod sarif;
mod search;
mod sniff;
mod text;
mod tree;
mod words;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use carboy_engine::{Class, FileScanner};

use crate::cli::{ScanArgs, ScanClass, ScanFormat};
use crate::outcome::Outcome;
use crate::output::{self, Paint};

use baseline::Baseline;
use exclusion::Exclusion;
use git::Repository;
use progress::Progress;
use report::Report;
use search::Search;

/// Scans what the command line names.
pub(crate) fn run(args: &ScanArgs) -> Result<Outcome> {
    if args.install_hook {
        return hook::install(&Repository::at(&args.repo), args.force);
    }
    let baseline = match &args.baseline {
        Some(file) => Baseline::read(file)?,
        None => Baseline::default(),
    };
    let search = Arc::new(Search::new(
        FileScanner::new(&classes(&args.class)),
        Exclusion::new(&args.exclude)?,
    ));
    {
        let _progress = Progress::start(Arc::clone(&search));
        look(args, &search)?;
    }
    let report = Report::new(&search, &baseline, args.fail_on);
    if let Some(file) = &args.write_baseline {
        let written = Baseline::of(&report).write(file)?;
        output::note(format_args!(
            "{} written: {}",
            file.display(),
            words::count(written, "known finding")
        ));
        return conclude(&report, Outcome::Clean);
    }
    print(args.format, &search, &report)?;
    conclude(
        &report,
        match report.failing().next() {
            Some(_) => Outcome::Found,
            None => Outcome::Clean,
        },
    )
}

/// Looks through the files, the history or the patch.
fn look(args: &ScanArgs, search: &Arc<Search>) -> Result<()> {
    let threads = match args.threads {
        Some(number) => number.get(),
        None => thread::available_parallelism().map_or(1, usize::from),
    };
    if let Some(patch) = &args.diff {
        if !args.paths.is_empty() {
            bail!("--diff reads one patch; it takes no PATH");
        }
        return match patch.as_os_str() == "-" {
            true => git::scan_patch(search, threads, io::stdin().lock()),
            false => {
                let file = File::open(patch);
                let file = file.with_context(|| format!("cannot read {}", patch.display()))?;
                git::scan_patch(search, threads, file)
            }
        };
    }
    let repository = Repository::at(&args.repo);
    if let Some(range) = &args.git {
        return repository.scan_history(search, threads, range, &args.paths);
    }
    if args.staged {
        return repository.scan_staged(search, threads, &args.paths);
    }
    let here = [PathBuf::from(".")];
    let paths = match args.paths.is_empty() {
        true => &here[..],
        false => &args.paths,
    };
    tree::scan(search, threads, paths, args.no_ignore)
}

fn classes(chosen: &[ScanClass]) -> Vec<Class> {
    let class = |class: &ScanClass| match class {
        ScanClass::Secret => Class::Secret,
        ScanClass::Personal => Class::Personal,
        ScanClass::Injection => Class::Injection,
    };
    match chosen.is_empty() {
        true => vec![Class::Secret, Class::Personal],
        false => chosen.iter().map(class).collect(),
    }
}

fn print(format: ScanFormat, search: &Search, report: &Report) -> Result<()> {
    match format {
        ScanFormat::Json => output::json(&json::document(report))?,
        ScanFormat::Sarif => output::json(&sarif::document(&search.scanner, report))?,
        ScanFormat::Text => {
            output::print(words::lines(report, Paint::on(&io::stdout())))?;
            if report.failing().next().is_some() {
                output::note(words::summary(report));
            }
        }
    }
    Ok(())
}

/// Says what was not scanned. What could not be, though it should have been, is an error where
/// nothing worse is to be told.
fn conclude(report: &Report, outcome: Outcome) -> Result<Outcome> {
    for unread in &report.unread {
        output::note(words::unread(unread));
    }
    let faults = report.faults();
    if outcome == Outcome::Clean && faults > 0 {
        bail!(
            "not all was scanned: {} left; mend them, or leave them out with --exclude GLOB",
            words::count(faults, "file")
        );
    }
    Ok(outcome)
}
