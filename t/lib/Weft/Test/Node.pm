# One nginx and its weftd.
package Weft::Test::Node;
use v5.30;
use warnings;

use HTTP::Tiny;
use JSON::PP ();

use Weft::Client;

sub new { my ($class, %self) = @_; return bless \%self, $class }

sub name  { $_[0]{name} }
sub nginx { $_[0]{nginx} }
sub weftd { $_[0]{weftd} }
sub port  { $_[0]{nginx}->port }

# A client that is greeted: node->client(sub => 'bob') changes the ticket's claims; `with => {…}` goes to
# Weft::Client->join.
sub client {
    my ($self, %claims) = @_;
    my %with = %{ delete $claims{with} // {} };
    return Weft::Client->join(port => $self->port, ticket => $self->{test}->ticket(%claims), %with);
}

# Clients, so many that every worker has one: a list with one a worker.
sub client_per_worker {
    my ($self, %claims) = @_;
    my $want = $self->nginx->workers;
    my %by;
    my @rest;    # kept open: an idle worker takes the next one all the sooner
    for (1 .. 2000) {
        last if keys %by == $want;
        my $client = $self->client(%claims);
        my $worker = $self->nginx->worker_of($client) // die "no worker holds the connection\n";
        if ($by{$worker}) { push @rest, $client }
        else              { $by{$worker} = $client }
    }
    die "not every worker takes connections\n" if keys %by < $want;
    return map { $by{$_} } sort { $a <=> $b } keys %by;
}

# Returns once every worker has its link to weftd.
sub wait_linked {
    my ($self) = @_;
    my $status;
    Weft::Test::wait_for(
        sub {
            $status = eval { $self->status } or return 0;
            return $status->{workers} >= $self->nginx->workers && $status->{link}{up} == $status->{workers};
        }) or die "$self->{name}: no link between workers and weftd\n" . JSON::PP->new->canonical->encode($status // {}) . "\n";
    return $self;
}

# Calls are answered by weftd's first shard; the others have links of their own, of which a client's nginx knows.
sub _has_all_links {
    my ($client) = @_;
    return 1 unless $ENV{WEFT_SHARDS} && $client->{socket};
    my $answer = HTTP::Tiny->new->get('http://127.0.0.1:' . $client->{socket}->peerport . '/status');
    my $status = JSON::PP->new->utf8->decode($answer->{content});
    return $status->{link}{up} == $status->{workers};
}

# Whether weftd answers a client's commands.
sub _is_served {
    my ($client) = @_;
    my $answer = $client->call('rpc', method => 'weft.time');
    return _has_all_links($client) if $answer->{type} eq 'rpc_response';
    die "weft.time is answered: $answer->{raw}\n" if $answer->{payload}{code} != 4017;
    return 0;
}

# Wait until the commands of all these clients are answered by weftd, or are answered 4017; false when that never comes.
sub served   { my (@clients) = @_; return Weft::Test::wait_for(sub { !grep { !_is_served($_) } @clients }) }
sub unserved { my (@clients) = @_; return Weft::Test::wait_for(sub { !grep { _is_served($_) } @clients }) }

sub publish {
    my ($self, $channel, $body, %headers) = @_;
    return $self->nginx->request('POST', "/publish/$channel", content => $body,
        headers => { 'Content-Type' => 'application/json', %headers });
}

sub status {
    my ($self) = @_;
    my $answer = $self->nginx->request('GET', '/status');
    die "status: $answer->{status} $answer->{content}\n" unless $answer->{json};
    return $answer->{json};
}

sub stop { my ($self) = @_; $_->stop for @$self{qw(nginx weftd)}; return }

1;
