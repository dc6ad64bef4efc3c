# A process of a test that plays the application: a back end of hooks, or a service.
#
# Options: command (a list; default: the back end of t/lib/back_end.py), stopped.
package Weft::Test::BackEnd;
use v5.30;
use warnings;

use parent 'Weft::Test::Part';

use File::Basename qw(dirname);
use IO::Socket::IP;
use JSON::PP ();

sub new {
    my ($class, $test, $name, %options) = @_;
    my $folder = $test->prefix . "/back-end-$name";
    mkdir $folder or die "$folder: $!\n";
    my $self = bless { kind => 'back end', name => $name, folder => $folder, test => $test, options => \%options }, $class;
    $self->{port} = $options{port} // $test->port;
    return $self;
}

sub url      { "http://127.0.0.1:$_[0]{port}" }
sub logs     { ($_[0]->output) }
sub alarming { qr/^Traceback/ }

sub start {
    my ($self) = @_;
    my @command = @{ $self->{options}{command} // [ dirname(__FILE__) . '/../../back_end.py', $self->{port}, "$self->{folder}/asked" ] };
    $self->_launch('/usr/bin/python3', @command) if $command[0] =~ /\.py$/;
    $self->_launch(@command) if $command[0] !~ /\.py$/;
    return $self if $self->{options}{command} && !$self->{options}{listens};
    Weft::Test::wait_for(
        sub {
            die $self->title . " did not start:\n" . $self->log_text unless $self->running;
            IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $self->{port});
        }) or die $self->title . " does not listen\n";
    return $self;
}

# What it was asked, oldest first: {asked => …, headers => …, raw => …}; only those of this event, if one is given.
sub asked {
    my ($self, $event) = @_;
    my @all = map { JSON::PP->new->decode($_) } split /\n/, Weft::Test::slurp("$self->{folder}/asked");
    return grep { !defined $event || $_->{asked}{event} eq $event } @all;
}

1;
