# A child process of a test: started in a process group of its own, waited for, signalled, and never left behind.
#
# A guard process holds the reading end of a pipe. Whatever way the test ends, by SIGKILL too, the pipe closes; the guard
# then kills the groups that are still on its list and removes the test's folder. It knows only groups that were started
# here, and a group is struck off before its process is reaped, so that a number is never used twice.
package Weft::Test::Process;
use v5.30;
use warnings;

use IO::Handle;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my ($guard, $guard_pid, $owner);

sub guard_folder {
    my ($folder) = @_;
    pipe my $reader, $guard or die "pipe: $!\n";
    $guard->autoflush;
    $owner     = $$;
    $guard_pid = fork // die "fork: $!\n";
    return if $guard_pid;

    close $guard;
    setpgrp;
    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP PIPE);
    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    my (%groups, $keep);
    while (my $line = <$reader>) {
        my ($word, $pid) = split ' ', $line;
        if    ($word eq 'watch')  { $groups{$pid} = 1 }
        elsif ($word eq 'forget') { delete $groups{$pid} }
        elsif ($word eq 'keep')   { $keep = 1 }
    }
    kill 'KILL', -$_ for keys %groups;
    unless ($keep) {
        require File::Path;
        File::Path::remove_tree($folder);
    }
    POSIX::_exit(0);
}

sub keep_folder { print {$guard} "keep\n" if $guard }

# Process groups that the guard is to kill if the test ends without.
sub watch  { my ($group) = @_; print {$guard} "watch $group\n"  if $guard; return }
sub forget { my ($group) = @_; print {$guard} "forget $group\n" if $guard; return }

# In a process that a test forks: the guard is to see the end of the test, not of this one.
sub leave_guard { close $guard if $guard; undef $guard; return }

# Lets the guard clean up, and waits for that.
sub dismiss_guard {
    return unless $guard && $$ == $owner;
    close $guard;
    waitpid $guard_pid, 0;
    undef $guard;
    return;
}

# name, command => [program, argument, …], output => FILE (takes stdout and stderr), environment => {…}.
sub start {
    my ($class, %what) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setpgrp;
        $SIG{$_} = 'DEFAULT' for qw(PIPE INT TERM HUP);
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', $what{output};
        open STDERR, '>&', \*STDOUT;
        $ENV{$_} = $what{environment}{$_} for keys %{ $what{environment} // {} };
        exec { $what{command}[0] } @{ $what{command} } or print STDERR "exec $what{command}[0]: $!\n";
        POSIX::_exit(127);
    }
    watch($pid);
    # Set from both sides: whoever runs first, a signal to the group finds it.
    setpgrp $pid, $pid;
    return bless { name => $what{name}, pid => $pid, output => $what{output} }, $class;
}

sub pid  { $_[0]{pid} }
sub name { $_[0]{name} }

# Whether it still runs. Sets `status` (as $?) once it doesn't.
sub running {
    my ($self) = @_;
    return 0 if defined $self->{status};
    # A look that doesn't reap: the guard must forget the group while the number can't be anybody else's.
    my $state = state_of($self->{pid});
    return 1 if defined $state && $state ne 'Z';
    kill 'KILL', -$self->{pid};    # what it left behind: workers of a killed master
    forget($self->{pid});
    $self->{status} = waitpid($self->{pid}, 0) == $self->{pid} ? $? : -1;
    return 0;
}

# What /proc/PID/stat says behind the name, as a list from the third field on; empty when there is no such process.
sub _stat {
    my ($pid) = @_;
    open my $stat, '<', "/proc/$pid/stat" or return;
    my $line = <$stat> // return;
    return split ' ', $line =~ s/^.*\)//sr;
}

# Of any process: its state (a letter), when it was started (clock ticks since boot) and the processor time that it has
# used (clock ticks); undef when there is no such process.
sub state_of { my ($pid) = @_; return scalar((_stat($pid))[0]) }
sub birth_of { my ($pid) = @_; return scalar((_stat($pid))[19]) }

sub ticks_used {
    my ($pid) = @_;
    my @stat = _stat($pid) or return;
    return $stat[11] + $stat[12];
}

# Whether there is a process of this number that is more than a zombie. (A daemon's zombies are somebody else's to reap.)
sub lives { my ($pid) = @_; return (state_of($pid) // 'Z') ne 'Z' }

# Waits until it has ended; returns its status as $?, undef when it hasn't in time.
sub wait_end {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds // 30);
    while ($self->running) {
        return if time > $until;
        sleep 0.01;
    }
    return $self->{status};
}

sub status { $_[0]{status} }

# SIGSTOP is one thread's to take, which then has to get a processor; the others go on until then. So that is waited for.
sub signal {
    my ($self, $signal) = @_;
    return 0 unless $self->running && kill $signal, $self->{pid};
    return 1 if $signal ne 'STOP';
    my $until = time + 30;
    my @threads = map { m{^/proc/(.*)} } glob "/proc/$self->{pid}/task/*";
    sleep 0.002 while time < $until && grep { (state_of($_) // 'T') !~ /[TZ]/ } @threads;
    return 1;
}

# The processes whose parent it is.
sub children {
    my ($self) = @_;
    open my $list, '<', "/proc/$self->{pid}/task/$self->{pid}/children" or return;
    return split ' ', <$list> // '';
}

# Kills it with all its group, and waits.
sub kill_all {
    my ($self) = @_;
    return unless $self->running;
    kill 'KILL', -$self->{pid};
    $self->wait_end;
    return;
}

1;
