# An nginx master that left for the background: not our child, so it can't be waited for, and is told by its number and
# the time of its start instead. Masters of a binary upgrade are in one process group, which the guard of
# Weft::Test::Process knows; it is killed when the last of them has gone.
package Weft::Test::Daemon;
use v5.30;
use warnings;

use parent -norequire, 'Weft::Test::Process';

use Weft::Test::Process;

# name, pid, log => a function that returns the error log's text; beside => another master, in whose group it is.
sub adopt {
    my ($class, %what) = @_;
    my $pid   = $what{pid};
    my $group = $what{beside} ? $what{beside}{group} : { id => $pid, masters => {} };
    my $self  = bless {
        name => $what{name}, pid => $pid, log => $what{log}, group => $group, born => Weft::Test::Process::birth_of($pid),
    }, $class;
    die "$what{name}: process $pid is not there\n" unless defined $self->{born};
    Weft::Test::Process::watch($group->{id}) unless %{ $group->{masters} };
    $group->{masters}{$pid} = 1;
    return $self;
}

# Sets `status` once it has ended: 0 when it said in its log that it ends.
sub running {
    my ($self) = @_;
    return 0 if defined $self->{status};
    my $state = Weft::Test::Process::state_of($self->{pid});
    return 1 if defined $state && $state ne 'Z' && (Weft::Test::Process::birth_of($self->{pid}) // '') eq $self->{born};
    $self->{status} = $self->{log}->() =~ /\] $self->{pid}#\d+: exit$/m ? 0 : -1;
    my $masters = $self->{group}{masters};
    delete $masters->{ $self->{pid} };
    if (!%$masters) {
        kill 'KILL', -$self->{group}{id};    # what it left behind: workers of a killed master
        Weft::Test::Process::forget($self->{group}{id});
    }
    return 0;
}

# Kills it with all its group.
sub kill_all {
    my ($self) = @_;
    return unless $self->running;
    kill 'KILL', -$self->{group}{id};
    $self->wait_end;
    return;
}

1;
