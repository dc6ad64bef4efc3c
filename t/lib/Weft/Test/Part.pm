# What an nginx and a weftd of a test have in common: a folder, a process, logs.
#
# Options: environment (more of it, {NAME => VALUE}), under (a command that runs it, a list: valgrind and its options).
package Weft::Test::Part;
use v5.30;
use warnings;

use Weft::Test::Process;

sub name    { $_[0]{name} }
sub title   { "$_[0]{kind} $_[0]{name}" }
sub folder  { $_[0]{folder} }
sub pid     { $_[0]{process} && $_[0]{process}->pid }
sub running { $_[0]{process} && $_[0]{process}->running }
sub process { $_[0]{process} }

sub signal   { my ($self, $signal) = @_; return $self->{process}->signal($signal) }
sub kill_all { my ($self) = @_; $self->{process}->kill_all if $self->{process}; return }

# Ends it and returns its exit status; undef when it hasn't ended in time.
sub stop {
    my ($self, $signal) = @_;
    $self->signal('CONT');
    $self->signal($signal // 'TERM');
    return $self->{process}->wait_end;
}

# SIGKILL, and waits for the end.
sub crash {
    my ($self) = @_;
    $self->signal('KILL');
    $self->{process}->wait_end // die $self->title . " survives SIGKILL\n";
    return;
}

sub _launch {
    my ($self, @command) = @_;
    $self->{process} = Weft::Test::Process->start(
        name        => $self->title,
        command     => [ @{ $self->{options}{under} // [] }, @command ],
        output      => $self->output,
        environment => { $self->{test}->report_environment, %{ $self->{options}{environment} // {} } },
    );
    return;
}

sub output { "$_[0]{folder}/output.log" }

sub log_text { my ($self) = @_; return join '', map { Weft::Test::slurp($_) } $self->logs }

sub alarming_lines {
    my ($self) = @_;
    my $alarming = $self->alarming;
    return grep { $_ =~ $alarming } split /\n/, $self->log_text;
}

our $SANITIZER = qr/Sanitizer|runtime error:|core dumped|terminate called|Assertion .* failed|Segmentation fault/;

1;
